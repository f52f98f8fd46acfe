"""The answers of a warehouse that costs when it is asked: each question is asked once, until a run has ended since.

A page that is open asks every few seconds. A suspended virtual warehouse would be resumed for that, and never rest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from elt_factory.warehouse.base import Rows, Warehouse
    from elt_factory.warehouse.dialect import Dialect, Relation

_MOST = 500  # questions whose answers are kept
_RUNS = 500  # the newest, among which one may have ended
_T = TypeVar("_T")


class KeptAnswers:
    """A warehouse to be read, which is opened only for what was not asked since the last run.

    Args:
        opened: Opens the warehouse.
    """

    def __init__(self, opened: Callable[[], AbstractContextManager[Warehouse]]) -> None:
        self._opened = opened
        self._lock = RLock()
        self._answers: OrderedDict[Hashable, Any] = OrderedDict()
        self._dialect: Dialect | None = None
        self._mark: object = None
        self.version = 0
        self.asked_at: datetime | None = None

    def upto(self, mark: object) -> KeptAnswers:
        """Forget what was answered before a run has ended; `mark` is another one then."""
        with self._lock:
            if mark != self._mark or self.version == 0:
                self._answers.clear()
                self._mark, self.asked_at = mark, None
                self.version += 1
            return self

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
                with self._opened() as warehouse:
                    self.asked_at = self.asked_at or datetime.now(UTC)
                    self._answers[question] = ask(warehouse)
                while len(self._answers) > _MOST:
                    self._answers.popitem(last=False)
            answer: _T = self._answers[question]
            return answer


def newest_run(session: Session) -> object:
    """Return what is another one when a run has ended or a table was loaded since: Airflow's database is asked."""
    from airflow.models.asset import AssetEvent
    from airflow.models.dagrun import DagRun
    from sqlalchemy import func, select

    # the end has no index, and what began long ago has ended
    ends = select(DagRun.end_date).order_by(DagRun.id.desc()).limit(_RUNS).subquery()
    return session.scalar(select(func.max(AssetEvent.id))), session.scalar(select(func.max(ends.c.end_date)))
