"""Wait until another DAG has run for this window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import ClassVar, Literal

from pydantic import Field

from elt_factory.config.errors import MistakeError
from elt_factory.config.models.base import Model
from elt_factory.config.models.durations import Duration, format_duration
from elt_factory.config.models.schema_patterns import NOT_TOO_LONG
from elt_factory.config.models.sensors import Setting
from elt_factory.config.models.values import Text
from elt_factory.core.verdict import Verdict
from elt_factory.core.window import iso_utc
from elt_factory.sensors.kind import Look, SensorKind

_SEEN = ("failed", "running", "queued")


class DagDone(Model):
    """Wait until another DAG's run for this window has succeeded."""

    plain_key: ClassVar[str] = "id"
    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {"before": (NOT_TOO_LONG,)}

    id: Text = Field(description="Id of the DAG.", examples=["billing"])
    at: Literal["start", "end"] = Field(
        "start",
        description=(
            "End of the window that is the logical date of the run: start for DAGs with data intervals, like those of "
            "ELT Factory; end for DAGs with a cron string, whose runs have the time at which they start."
        ),
        examples=["end"],
    )
    before: Duration | None = Field(
        None, description="How long before that the logical date is, for a DAG that runs earlier.", examples=["2h"]
    )


def _poke(spec: DagDone, look: Look) -> Verdict:
    moment = (look.window.start if spec.at == "start" else look.window.end) - (spec.before or timedelta())
    counts = look.dag_runs(spec.id, moment)
    what = f"{look.config.name}: the run of {spec.id} for {iso_utc(moment)}"
    if counts.get("success"):
        return Verdict(True, f"{what} has succeeded")
    seen = next((f"is {state}" if state != "failed" else "has failed" for state in _SEEN if counts.get(state)), "")
    return Verdict(False, f"{what} {seen or 'does not exist yet'}")


def _words(spec: DagDone) -> str:
    before = f", {format_duration(spec.before)} before" if spec.before else ""
    return f"{spec.id} has run for the window's {spec.at}{before}"


def _about(spec: DagDone) -> str:
    return spec.id


def _mistakes(spec: DagDone, setting: Setting) -> Iterator[MistakeError]:
    if spec.id == setting.name:
        hint = "name another DAG"
        yield MistakeError("a DAG cannot wait for its own run", hint, at=("id",), code="conflict")


KIND = SensorKind(
    name="dag",
    model=DagDone,
    description="Wait until another DAG has run for this window.",
    examples=({"id": "billing"},),
    poke=_poke,
    words=_words,
    about=_about,
    mistakes=_mistakes,
)
