"""Short sequences of the machine's events, each of which leads to one fault where that is put in, and to nothing else.

`test_proof_faults.py` plays them; with `ELT_PROOF_BLIND` it looks for the faults by random sequences alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from proof_stage import Pause

Story = Sequence[tuple[str, Mapping[str, Any]]]


def runs(*days: int) -> Story:
    return [("run", {"day": day}) for day in days]


def refresh(ago: int = 1) -> Story:
    return [("refresh", {"ago": ago})]


def changes(key: int, ago: int = 0, hours: int = 24) -> Story:
    return [("change_rows", {"changes": [(key, ago, True)], "hours": hours})]


def delivery(day: int, *kept: int, bad: bool = False, twice: bool = False) -> Story:
    return [("deliver", {"day": day, "part": "a", "kept": set(kept), "bad": bad, "twice": twice})]


def killed(at: str) -> Story:
    return [("run_killed", {"day": 0, "at": at, "full": False})]


def begun(at: Pause) -> Story:
    return [("begin", {"day": 0, "at": at})]


FINISHED: Story = [("finish", {"which": 0})]
DAMAGED: Story = [("run_damaged", {"day": 0, "byte": -30})]
FOREIGN: Story = [("run_foreign", {"day": 0, "whose": "project"})]
MORE_THAN_A_PAGE: Story = [*changes(5), *refresh()]
NO_CURSOR: Story = [("change_a_row_without_cursor", {"key": 11}), *runs(0)]
LATE: Story = [*runs(0, 1), *changes(5, ago=6), *runs(2)]
A_NUMBER_MORE: Story = [*runs(0), *changes(1), *runs(1)]
A_LATER_TRY_ENDS_FIRST: Story = [*begun("the extract has ended"), *runs(0), *FINISHED]
AN_EARLIER_TRY_ENDS_FIRST: Story = [*begun(0), *begun("the extract has ended"), *FINISHED, *FINISHED]
ANOTHER_LOADS_MEANWHILE: Story = [*begun("COMMIT"), *runs(1), *FINISHED]
ONE_KEY_TWICE: Story = [*delivery(0, 1, 2, twice=True), *runs(0)]
DELETED: Story = [*runs(0, 1), ("delete_a_row", {"place": 0}), *runs(1)]
KEYS_ARE_OLDER: Story = [*begun("the extract has ended"), *changes(5), *runs(2), *FINISHED]
A_REJECT_COMES: Story = [*runs(0), *delivery(1, 3, bad=True), *runs(1)]
ONLY_REJECTS_COME: Story = [*runs(0), *delivery(0, bad=True), *runs(0)]
