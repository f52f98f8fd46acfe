"""The proof can fail: each of these faults is found, by the guarantee that it breaks."""

import pytest
from hypothesis.stateful import run_state_machine_as_test
from proof_budget import bounded
from proof_faults import FAULTS, Fault
from proof_line import BrokenError
from proof_machine import machine, play, used_warehouse

EXAMPLES = 20  # sequences, at most, until a fault is found for which no story is given


def look_for(fault: Fault) -> None:
    if fault.story:
        play(fault.kind, fault.story)
    else:
        run_state_machine_as_test(machine(fault.kind), settings=bounded(EXAMPLES))


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


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.story])
def test_nothing_is_found_where_no_fault_is_put_in(name):
    play(FAULTS[name].kind, FAULTS[name].story[:4])
