"""The loads are there, and what people look at is not: dbt ran before them, or has not run since."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from elt_factory.diagnosis.facts import Facts, LoadFact, Reader
from elt_factory.diagnosis.verdict import Finding
from elt_factory.diagnosis.words import ago, at

_ON_ITS_WAY = timedelta(minutes=15)  # from a load's commit until its transform has run, where no run is known


def loaded_after(facts: Facts) -> Finding | None:
    """Find a transform of this window that ran before the table had it: the schedule or a sensor must change."""
    return next((_too_early(*one) for one in _read(facts) if _ran_too_early(*one)), None)


def not_run_since(facts: Facts) -> Finding | None:
    """Find a transform that has not run since the table was loaded."""
    return next((_missing(*one) for one in _read(facts) if _not_run(*one)), None)


def _read(facts: Facts) -> Iterator[tuple[Facts, LoadFact, Reader]]:
    """Yield who reads a table; for a transform across sources each table that it reads."""
    for table in (facts,) if facts.table else facts.inputs:
        for reader in table.readers:
            if table.newest and (facts.table or reader.config == facts.source):
                yield table, table.newest, reader


def _outdated(facts: Facts, load: LoadFact, reader: Reader) -> bool:
    """Whether the table has a load that brought rows, and that the transform has not seen."""
    if reader.busy or facts.now - load.loaded_at < _ON_ITS_WAY or not load.rows:
        return False
    return reader.started_at is None or reader.started_at < load.loaded_at


def _ran_too_early(facts: Facts, load: LoadFact, reader: Reader) -> bool:
    if not _outdated(facts, load, reader) or reader.started_at is None:
        return False
    if reader.window is not None:
        return reader.window.end >= load.window.end
    # it is not known for which window it ran: after the window's end, it was for this one
    return reader.started_at >= load.window.end


def _not_run(facts: Facts, load: LoadFact, reader: Reader) -> bool:
    return _outdated(facts, load, reader) and not _ran_too_early(facts, load, reader)


def _too_early(facts: Facts, load: LoadFact, reader: Reader) -> Finding:
    ran = at(facts, reader.started_at) if reader.started_at else ""
    told = (
        f"{facts.label} was loaded at {at(facts, load.loaded_at)}, after the transform of {reader.config} ran at {ran}"
    )
    lines = [f"the load of {load.window} is not in the models of {reader.config}"]
    advice = f"then let it wait: sensors: before_transform: [source: {{name: {facts.source}}}]"
    if reader.waits:
        lines.append(f"{reader.config} waits for {facts.source}, which had the window already: it was loaded again")
        advice = "a reload calls for a run of its transform"
    return Finding(f"{told}: it shows the data without this load", lines, f"{trigger(reader, load)}; {advice}")


def _missing(facts: Facts, load: LoadFact, reader: Reader) -> Finding:
    ran = f"it ran last {ago(facts, reader.started_at)}" if reader.started_at else "it has never run"
    told = (
        f"{facts.label} was loaded {ago(facts, load.loaded_at)}, and the transform of {reader.config} has not run since"
    )
    lines = [f"{ran}, and the load of {load.window} was committed at {at(facts, load.loaded_at)}"]
    lines.append(f"the DAG {reader.config} is paused" if reader.paused else "")
    first = f"airflow dags unpause {reader.config}; " if reader.paused else ""
    return Finding(told, lines, f"{first}{trigger(reader, load)}")


def trigger(reader: Reader, load: LoadFact) -> str:
    """Return the command that transforms a window."""
    start, end = load.window.start.isoformat(), load.window.end.isoformat()
    conf = f'{{"window_start": "{start}", "window_end": "{end}"}}'
    return f"airflow dags trigger {reader.config} --conf '{conf}'"
