"""The line against the model: in whatever order, every guarantee of docs/concepts/guarantees.md holds."""

import pytest
from hypothesis.stateful import run_state_machine_as_test
from proof_budget import budget
from proof_kinds import KINDS
from proof_machine import machine


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", KINDS)
def test_every_guarantee_holds_whatever_happens(name):
    run_state_machine_as_test(machine(name), settings=budget())
