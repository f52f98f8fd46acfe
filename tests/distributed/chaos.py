"""Kills of workers, tasks and schedulers, at random or one of each."""

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import psutil
from cluster import WORKERS, Cluster

# how often each is killed, of all; the first ones are also what the bounded form kills once each
KINDS = {"task": 5, "worker": 2, "scheduler": 2, "machine": 2, "supervisor": 1, "triggerer": 1, "api-server": 1}
ONCE = ("task", "worker", "scheduler", "task", "machine")


class Chaos:
    """Kills what runs, by `kill -9`.

    - task: the process in which the code of a task runs
    - supervisor: the process of a worker that watches a task
    - worker: the main process of a worker; what it has started goes on without it
    - machine: a worker with all that it has started
    """

    def __init__(self, cluster: Cluster, chance: random.Random) -> None:
        self._cluster, self._chance = cluster, chance
        self.kills: Counter[str] = Counter()

    def go_on(self, over: Callable[[], bool], done_by: float) -> None:
        """Kill now and then until all runs have ended or the time is over; then what of ONCE was not killed yet."""
        while not over():
            if time.monotonic() < done_by:
                # where none of a kind is at work now, another kind is looked for soon
                killed = self._try(self._chance.choices(list(KINDS), list(KINDS.values()))[0])
                time.sleep(self._chance.uniform(3, 12) if killed else 0.3)
            elif left := Counter(ONCE) - self.kills:
                self._try(next(kind for kind in ONCE if left[kind]))
                time.sleep(self._chance.uniform(1.5, 3.5))
            else:
                return

    def _try(self, kind: str) -> bool:
        if killed := self._kill(kind):
            self.kills[kind] += 1
        return killed

    def _kill(self, kind: str) -> bool:
        if kind in ("task", "supervisor"):
            return self._kill_a_task(kind)
        if kind in ("worker", "machine"):
            # at work: a worker that is just starting has nothing to lose
            working = [name for name in WORKERS if self._works(name)]
            return bool(working) and self._cluster.kill(self._chance.choice(working), whole=kind == "machine")
        return self._cluster.kill(kind, whole=False)

    def _works(self, name: str) -> bool:
        process = self._cluster.components[name].process
        with suppress(psutil.Error):
            return process is not None and any(self._runs_for(task, process.pid) for task in self._cluster.tasks())
        return False

    def _runs_for(self, task: psutil.Process, worker: int) -> bool:
        return worker in [parent.pid for parent in task.parents()]

    def _kill_a_task(self, kind: str) -> bool:
        tasks = self._cluster.tasks()
        if not tasks:
            return False
        with suppress(psutil.Error):
            task = self._chance.choice(tasks)
            victim = task if kind == "task" else task.parent()
            if victim is not None and victim.pid in self._cluster.pids():
                victim.kill()
                return True
        return False
