"""The answers of a warehouse that costs when it is asked: each question is asked once, until a run has ended since.

A page that is open asks every few seconds. A suspended virtual warehouse would be resumed for that, and never rest. So
it is asked just after a run, which has resumed it, or after someone said so, and at no other time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar

from elt_factory.core.failures import WarehouseUnavailableError

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from elt_factory.warehouse.base import Rows, Warehouse
    from elt_factory.warehouse.dialect import Dialect, Relation

_MOST = 500  # questions whose answers are kept
_RUNS = 500  # the newest, among which one may have ended
_AWAKE = timedelta(seconds=60)  # after the end of a run: the shortest AUTO_SUSPEND that is of use
_NEWS = "a run may have ended since"
_OLDER = "a run has ended since some of what is shown for single sources was asked"
_ASLEEP = (
    "the warehouse was not asked for this since a run has ended, and would be resumed only for this page; hint: press "
    "Ask the warehouse now"
)
_T = TypeVar("_T")


class AsleepError(WarehouseUnavailableError):
    """The warehouse would be resumed only for the page, and no answer from before is known."""


class KeptAnswers:
    """A warehouse to be read, which is opened only for what was not asked since the last run.

    Args:
        opened: Opens the warehouse.
    """

    def __init__(self, opened: Callable[[], AbstractContextManager[Warehouse]]) -> None:
        self._opened = opened
        self._lock = RLock()
        self._answers: OrderedDict[Hashable, Any] = OrderedDict()
        self._older: OrderedDict[Hashable, Any] = OrderedDict()  # from before the last run, until they are asked again
        self._older_shown: set[Hashable] = set()
        self._news = False
        self._dialect: Dialect | None = None
        self._mark: object = None
        self._awake_until = datetime.min.replace(tzinfo=UTC)
        self.version = 0
        self.asked_at: datetime | None = None

    @property
    def note(self) -> str:
        """That there may be news; empty where there are none."""
        return _NEWS if self._news else _OLDER if self._older_shown else ""

    def upto(self, mark: object, ended: datetime | None, now: datetime) -> KeptAnswers:
        """Forget what was answered before a run has ended, where the warehouse is awake from it.

        Args:
            mark: Another one when a run has ended since.
            ended: When the newest run has ended.
            now: This moment.
        """
        with self._lock:
            if mark != self._mark:
                if ended is not None and now - ended < _AWAKE:
                    self._awake_until = max(self._awake_until, ended + _AWAKE)
                    self._forget(mark)
                else:
                    self._news = True
            return self

    def ask_again(self, mark: object, now: datetime) -> None:
        """Forget all answers: someone wants to know, whatever it costs."""
        with self._lock:
            self._awake_until = now + _AWAKE
            self._forget(mark)

    def _forget(self, mark: object) -> None:
        self._older |= self._answers
        while len(self._older) > _MOST:
            self._older.popitem(last=False)
        self._answers.clear()
        self._older_shown.clear()
        self._mark, self.asked_at, self._news = mark, None, False
        self.version += 1

    def changed_since(self, version: object) -> Collection[str] | None:
        """Return the sources of which something may have changed since a version; None for all of them."""
        return () if version == self.version else None

    @property
    def dialect(self) -> Dialect:
        """How the warehouse is talked to."""
        with self._lock:
            if self._dialect is None:
                with self._opened() as warehouse:
                    self._dialect = warehouse.dialect
            return self._dialect

    def query(self, statement: str) -> Rows:
        """Return the rows of a SELECT."""
        return self._ask(("query", statement), lambda warehouse: warehouse.query(statement))

    def columns(self, table: Relation) -> Any:
        """Return a table's columns; None where there is no table."""
        return self._ask(("columns", table), lambda warehouse: warehouse.columns(table))

    def prepare(self) -> None:
        """Bring audit tables of an older version up to date."""
        with self._lock, self._opened() as warehouse:
            warehouse.prepare()
            self._answers.clear()

    def _ask(self, question: Hashable, ask: Callable[[Warehouse], _T]) -> _T:
        with self._lock:
            if question not in self._answers:
                if datetime.now(UTC) >= self._awake_until:
                    before: _T = self._before(question)
                    return before
                with self._opened() as warehouse:
                    self.asked_at = self.asked_at or datetime.now(UTC)
                    self._answers[question] = ask(warehouse)
                self._older.pop(question, None)
                self._older_shown.discard(question)
                while len(self._answers) > _MOST:
                    self._answers.popitem(last=False)
            answer: _T = self._answers[question]
            return answer

    def _before(self, question: Hashable) -> Any:
        """Return the answer from before the last run.

        Raises:
            AsleepError: there is none.
        """
        if question not in self._older:
            raise AsleepError(_ASLEEP)
        self._older_shown.add(question)
        return self._older[question]


def newest_run(session: Session, sources: Collection[str]) -> tuple[object, datetime | None]:
    """Return what is another one when a run of a source has ended or loaded a table since, and when that was.

    Airflow's database is asked. Runs of other DAGs say nothing of the warehouse.
    """
    from airflow.models.asset import AssetEvent
    from airflow.models.dagrun import DagRun
    from sqlalchemy import func, select

    # the end has no index, and what began long ago has ended
    ends = select(DagRun.end_date).where(DagRun.dag_id.in_(sources)).order_by(DagRun.id.desc()).limit(_RUNS).subquery()
    ours = AssetEvent.source_dag_id.in_(sources)
    event = select(AssetEvent.id, AssetEvent.timestamp).where(ours).order_by(AssetEvent.id.desc()).limit(1)
    number, loaded = session.execute(event).first() or (None, None)
    moments = [_utc(at) for at in (loaded, session.scalar(select(func.max(ends.c.end_date)))) if at is not None]
    ended = max(moments, default=None)
    return (number, ended), ended


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)
