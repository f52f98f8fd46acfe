"""The proof can fail: each of these faults is found, by the guarantee that it breaks."""

import pytest
from hypothesis.stateful import run_state_machine_as_test
from proof_budget import bounded
from proof_faults import FAULTS
from proof_line import BrokenError
from proof_machine import machine, used_warehouse


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", FAULTS)
def test_the_proof_finds_the_fault(name, monkeypatch):
    fault = FAULTS[name]
    fault.bring(monkeypatch)
    used_warehouse.cache_clear()
    with pytest.raises(BrokenError) as found:
        run_state_machine_as_test(machine(fault.kind), settings=bounded(fault.examples))
    used_warehouse.cache_clear()
    assert fault.breaks in found.value.names, str(found.value)
