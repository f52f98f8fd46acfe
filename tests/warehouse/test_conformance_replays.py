from elt_factory.testing.warehouses.replays import ReplaySuite


class TestReplays(ReplaySuite):
    pass
