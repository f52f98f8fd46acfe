"""The promises of the bundle that heals, over an Airflow of a few lines; and each fault put in is found by its promise.

`test_bundle_live.py` holds the first promise against a live DAG processor.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import pytest

from elt_factory.dag import healing
from elt_factory.dag.healing import Healer
from elt_factory.dag.known import Known

SECOND = 1_000_000_000
REFRESH, PARSE, LAST = 5, 2, 900
BEGAN = 10_000


@dataclass
class Airflow:
    """A road and what Airflow stores: files are parsed soon after they are asked for, with the outcome of their try."""

    outcome: Mapping[str, Callable[[int], str]]
    known: dict[str, Known] = field(default_factory=dict)
    at: dict[str, int] = field(default_factory=dict)
    tries: dict[str, list[int]] = field(default_factory=dict)

    def ask(self, files: Iterable[str], second: int) -> None:
        for file in files:
            self.at[file] = second * SECOND
            self.tries.setdefault(file, []).append(second)
            found = self.outcome[file](len(self.tries[file]))
            ended, before = (second + PARSE) * SECOND, self.known.get(file, Known())
            if found == "stored":
                self.known[file] = Known(parsed=ended)
            elif found != "lost":
                self.known[file] = replace(before, failed=ended, passing=found == "environment")

    def live(self, changes: Mapping[int, Iterable[str]] | None = None) -> "Airflow":
        """Let a quarter of an hour pass; some files change meanwhile."""
        healer, changes = Healer(), {BEGAN: self.outcome, **(changes or {})}
        for second in range(BEGAN, BEGAN + LAST, REFRESH):
            self.ask(changes.get(second, ()), second)
            self.ask(healer.due(self.at, self.known, second * SECOND), second)
        return self

    def tried(self, file: str, since: int = BEGAN) -> list[int]:
        return [second - since for second in self.tries[file] if second >= since]


def lost_once(number: int) -> str:
    return "lost" if number == 1 else "stored"


def a_lost_parse_is_made_again_within_a_minute() -> None:
    airflow = Airflow({"a": lost_once, "b": lambda _: "stored"}).live()
    assert airflow.tried("a")[1:] <= [60]
    assert len(airflow.tried("a")) == 2
    assert airflow.tried("b") == [0]


def a_change_whose_parse_is_lost_is_seen_though_the_version_before_is_stored() -> None:
    changed = BEGAN + 300
    airflow = Airflow({"a": lambda number: "lost" if number == 2 else "stored"}).live({changed: ["a"]})
    assert [second <= 60 for second in airflow.tried("a", changed)] == [True, True]


def a_file_that_kills_every_parse_is_tried_once_a_minute() -> None:
    tried = Airflow({"a": lambda _: "lost"}).live().tried("a")
    assert LAST / 60 - 1 <= len(tried) <= LAST / 60 + 3


def a_file_that_was_healed_is_healed_as_quickly_the_next_time() -> None:
    changed = BEGAN + 600
    outcomes = ["lost", "lost", "lost", "stored", "lost"]
    airflow = Airflow({"a": lambda number: [*outcomes, *["stored"] * 99][number - 1]}).live({changed: ["a"]})
    assert airflow.tried("a", changed)[1] <= 30


def a_mistake_in_the_yaml_waits_for_its_change() -> None:
    assert Airflow({"a": lambda _: "mistake"}).live().tried("a") == [0]


def an_error_of_the_machine_passes_with_it() -> None:
    assert len(Airflow({"a": lambda number: "environment" if number < 3 else "stored"}).live().tried("a")) == 3


def a_machine_that_reads_nothing_is_not_given_all_files_each_time() -> None:
    airflow = Airflow({f"f{number}": lambda _: "environment" for number in range(50)}).live()
    at_a_time: dict[int, int] = {}
    for file in airflow.tries:
        for second in airflow.tried(file)[1:]:
            at_a_time[second] = at_a_time.get(second, 0) + 1
    assert max(at_a_time.values()) <= 10
    assert len({file for file in airflow.tries if len(airflow.tried(file)) > 1}) == 50


PROMISES = (
    a_lost_parse_is_made_again_within_a_minute,
    a_change_whose_parse_is_lost_is_seen_though_the_version_before_is_stored,
    a_file_that_kills_every_parse_is_tried_once_a_minute,
    a_file_that_was_healed_is_healed_as_quickly_the_next_time,
    a_mistake_in_the_yaml_waits_for_its_change,
    an_error_of_the_machine_passes_with_it,
    a_machine_that_reads_nothing_is_not_given_all_files_each_time,
)


def nothing_is_asked_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Healer, "due", lambda *_: [])


def any_version_counts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Known, "owes", lambda known, _: known.passing if known.failed > known.parsed else not known.parsed)


def patience_has_no_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(healing, "_MOST", 10**6 * SECOND)
    patch.setattr(healing, "PATIENCE", 600 * SECOND)


def there_is_no_patience(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(healing, "_MOST", 0)


def tries_are_not_forgotten(patch: pytest.MonkeyPatch) -> None:
    real = Healer.due

    def due(healer: Healer, *given: Mapping) -> list[str]:
        before = dict(healer._tries)
        found = real(healer, *given)
        healer._tries = before | healer._tries
        return found

    def owed(healer: Healer, asked: Mapping, known: Mapping, now: int) -> list[str]:
        kept = dict(healer._tries)
        return [
            file for file in due(healer, asked, known, now) if now - asked[file] > 60 * SECOND or not kept.get(file)
        ]

    patch.setattr(Healer, "due", owed)


def mistakes_are_read_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Known, "owes", lambda known, asked: known.failed > known.parsed or known.parsed < asked)


def every_error_waits_for_a_change(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Known, "owes", lambda known, asked: max(known.failed, known.parsed) < asked)


def all_at_a_time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(healing, "PASSING_AT_A_TIME", 1_000)


FAULTS = {
    nothing_is_asked_again: a_lost_parse_is_made_again_within_a_minute,
    any_version_counts: a_change_whose_parse_is_lost_is_seen_though_the_version_before_is_stored,
    patience_has_no_end: a_lost_parse_is_made_again_within_a_minute,
    there_is_no_patience: a_file_that_kills_every_parse_is_tried_once_a_minute,
    tries_are_not_forgotten: a_file_that_was_healed_is_healed_as_quickly_the_next_time,
    mistakes_are_read_again: a_mistake_in_the_yaml_waits_for_its_change,
    every_error_waits_for_a_change: an_error_of_the_machine_passes_with_it,
    all_at_a_time: a_machine_that_reads_nothing_is_not_given_all_files_each_time,
}


@pytest.mark.parametrize("promise", PROMISES)
def test_what_the_bundle_promises_holds(promise):
    promise()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_healing_is_found_by_the_promise_that_it_breaks(fault, monkeypatch):
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        FAULTS[fault]()
