"""The loop of a backfill: window after window, some at a time, with an end in sight."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from elt_factory.cli.backfill_runs import Ended, Runner
from elt_factory.describe.backfills import Step
from elt_factory.diagnosis.words import long

_IN_A_ROW = 3  # failed runs, after which the cause is taken for one that the next runs have too


@dataclass
class Progress:
    """How far a backfill is: what has ended, and how long the rest will take at the pace so far."""

    total: int
    say: Callable[[str], None]
    text: Callable[[Step], str]
    done: int = 0
    failed: list[Ended] = field(default_factory=list)
    in_a_row: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def took(self) -> str:
        """How long it has taken so far."""
        return long(timedelta(seconds=time.monotonic() - self.began))

    def take(self, ended: Ended) -> None:
        """Say that a run has ended."""
        self.in_a_row = 0 if ended.succeeded else self.in_a_row + 1
        if ended.succeeded:
            self.done += 1
        else:
            self.failed.append(ended)
        count = self.done + len(self.failed)
        left = (time.monotonic() - self.began) / count * (self.total - count)
        mark = "[green]✓[/]" if ended.succeeded else "[red]✗[/]"
        rest = f", about {long(timedelta(seconds=left))} left" if left else ""
        self.say(f"  {mark} {self.text(ended.step)}  [dim]{count}/{self.total}{rest}[/]")
        if ended.detail:
            self.say(f"    [red]{ended.detail}[/]")


def work(
    steps: Sequence[Step], runner: Runner, parallel: int, progress: Progress, note: Callable[[Step], None]
) -> None:
    """Do all steps, at most `parallel` at a time; after three failures in a row no more are begun."""
    waiting, active = list(steps), 0
    while active or (waiting and progress.in_a_row < _IN_A_ROW):
        while waiting and active < parallel and progress.in_a_row < _IN_A_ROW:
            runner.start(waiting.pop(0))
            active += 1
        for ended in runner.ended():
            active -= 1
            if ended.succeeded:
                note(ended.step)
            progress.take(ended)
