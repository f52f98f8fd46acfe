import pytest
from landing_support import Lander


@pytest.fixture
def lander(tmp_path) -> Lander:
    return Lander(tmp_path)
