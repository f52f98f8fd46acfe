"""Wait until an Airflow asset is updated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from pydantic import Field

from elt_factory.config.models.base import Model
from elt_factory.config.models.durations import Duration, format_duration
from elt_factory.config.models.schema_patterns import NOT_TOO_LONG
from elt_factory.config.models.values import Text
from elt_factory.core.verdict import Verdict
from elt_factory.core.window import iso_utc
from elt_factory.sensors.kind import Look, SensorKind


class AssetUpdated(Model):
    """Wait until an asset of Airflow is updated."""

    plain_key: ClassVar[str] = "name"
    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {"within": (NOT_TOO_LONG,)}

    name: Text = Field(description="Name or URI of the asset.", examples=["s3://lake/rates"])
    within: Duration | None = Field(
        None,
        description="How long before the window's end the update may be. By default, since the window's start.",
        examples=["2h"],
    )


def _poke(spec: AssetUpdated, look: Look) -> Verdict:
    within: timedelta = spec.within if spec.within is not None else look.window.end - look.window.start
    since = look.window.end - within
    updated = look.updated(spec.name, since)
    if updated is None:
        return Verdict(False, f"{look.config.name}: {spec.name} has no update since {iso_utc(since)}")
    return Verdict(True, f"{look.config.name}: {spec.name} was updated at {iso_utc(updated)}")


def _words(spec: AssetUpdated) -> str:
    within = f"{format_duration(spec.within)} before the window's end" if spec.within else "the window's start"
    return f"{spec.name} is updated since {within}"


def _about(spec: AssetUpdated) -> str:
    return "".join(sign if sign.isalnum() else "_" for sign in spec.name).strip("_")


KIND = SensorKind(
    name="asset",
    model=AssetUpdated,
    description="Wait until an asset of Airflow is updated.",
    examples=({"name": "s3://lake/rates"},),
    poke=_poke,
    words=_words,
    about=_about,
    on_worker=True,
)
