"""The proof can fail: each of these faults is found, by the guarantee that it breaks."""

import pytest
from hypothesis.stateful import run_state_machine_as_test
from proof_budget import BLIND, BOUNDED, EXAMPLES, bounded
from proof_faults import FAULTS, Fault
from proof_line import BrokenError
from proof_machine import machine, play, used_warehouse

KINDS_WITH_FAULTS = sorted({fault.kind for fault in FAULTS.values()})


def look_for(fault: Fault) -> None:
    """By its story; or blind, by random sequences alone."""
    if BLIND:
        run_state_machine_as_test(machine(fault.kind), settings=bounded(EXAMPLES or BOUNDED))
    else:
        play(fault.kind, fault.story)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", FAULTS)
def test_the_proof_finds_the_fault(name, monkeypatch):
    fault = FAULTS[name]
    fault.bring(monkeypatch)
    used_warehouse.cache_clear()
    with pytest.raises(BrokenError) as found:
        look_for(fault)
    used_warehouse.cache_clear()
    assert fault.breaks in found.value.names, str(found.value)


@pytest.mark.parametrize("kind", KINDS_WITH_FAULTS)
def test_nothing_is_found_where_no_fault_is_put_in(kind):
    """All stories of a kind, one after the other."""
    stories = {repr(fault.story): fault.story for fault in FAULTS.values() if fault.kind == kind}
    play(kind, [event for story in stories.values() for event in story])
