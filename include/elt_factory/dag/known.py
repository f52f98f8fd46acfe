"""What Airflow has stored of the DAG files of a bundle: the proof that a parse came to its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from elt_factory.dag.environment import may_pass


@dataclass(frozen=True)
class Known:
    """What Airflow has of one file; moments in nanoseconds since 1970, 0 for never.

    Args:
        parsed: When the DAGs of the file that are not stale were stored, the oldest of them.
        failed: When its import error was stored.
        passing: Whether the import error may go without a change of the file.
    """

    parsed: int = 0
    failed: int = 0
    passing: bool = False

    def owes(self, asked: int) -> bool:
        """Tell whether nothing has come of a parse that was asked for at this moment."""
        if self.failed > self.parsed:
            return self.passing or self.failed < asked
        return self.parsed < asked


NOTHING = Known()


def known_to_airflow(bundle: str) -> Mapping[str, Known]:
    """Return what Airflow's database has of each file of a bundle, by the path that Airflow knows the file by."""
    from airflow.models.dag import DagModel
    from airflow.models.errors import ParseImportError
    from airflow.utils.session import create_session
    from sqlalchemy import func, select

    place, oldest = DagModel.relative_fileloc, func.min(DagModel.last_parsed_time)
    of_dags = select(place, oldest).where(DagModel.bundle_name == bundle, ~DagModel.is_stale).group_by(place)
    of_errors = select(ParseImportError.filename, ParseImportError.timestamp, ParseImportError.stacktrace).where(
        ParseImportError.bundle_name == bundle
    )
    with create_session() as session:
        parsed = {str(file): _moment(when) for file, when in session.execute(of_dags)}
        failed = {str(file): (_moment(when), may_pass(text or "")) for file, when, text in session.execute(of_errors)}
    return {file: Known(parsed.get(file, 0), *failed.get(file, (0, False))) for file in {*parsed, *failed}}


def _moment(when: datetime | None) -> int:
    return int(when.timestamp() * 1e9) if when else 0
