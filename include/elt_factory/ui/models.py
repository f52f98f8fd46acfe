"""What the page's API answers: frozen models, from which its OpenAPI description follows. Instants know their zone."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

StateWord = Literal["broken", "failing", "late", "rejecting", "waiting", "never loaded", "unknown", "fresh", "paused"]


class Answer(BaseModel):
    """Part of an answer."""

    model_config = ConfigDict(frozen=True)


class Mistake(Answer):
    """One thing that is wrong in a YAML, where, and how to fix it."""

    line: int
    column: int
    code: str
    message: str
    hint: str
    excerpt: list[str] = Field(description="The line with a caret below the place; empty where it may hold a secret.")


class BrokenFile(Answer):
    """A YAML that makes no DAG, and why."""

    file: str
    mistakes: list[Mistake]


class Band(Answer):
    """Where the rows of a load usually are: nine of ten loads before the last one."""

    low: float
    high: float


class Checks(Answer):
    """The newest results of a table's checks."""

    passed: int = 0
    warned: int = 0
    failed: int = 0
    worst: str = Field("", description="What the worst of them says.")


class Acknowledged(Answer):
    """Who takes care of what is wrong with a table, since when, and what they wrote."""

    who: str
    at: datetime
    why: str


class TableRow(Answer):
    """A table of a source, as the list shows it. A config that loads no table has one row without a table."""

    source: str
    table: str
    state: StateWord
    sentence: str = Field(description="Why it is in that state.")
    owner: str
    tags: list[str]
    description: str
    timezone: str = Field(description="The config's time zone: windows and business dates are days of it.")
    business_date: str | None
    business_at: datetime | None = Field(description="The instant that the business date means: of a day its end.")
    business_limit: float | None = Field(
        description="Seconds that it may be behind the end of a window, where a sensor or check says so."
    )
    loaded_at: datetime | None
    run_id: str | None
    window_start: datetime | None
    window_end: datetime | None
    cursor: str | None
    loads: list[int] = Field(description="Rows of the last loads, the newest last.")
    failed_loads: list[int] = Field(description="Which of `loads` failed for their rejects, by index.")
    band: Band | None
    rows_read: int
    rows_rejected: int
    open_rejects: int = Field(description="Rejected rows that no later load has healed.")
    checks: Checks
    next_run_at: datetime | None
    deadline_at: datetime | None = Field(description="When the run under way, or the next one, must be done.")
    deadline: str = Field(description="The deadline in words.")
    paused: bool
    acknowledged: Acknowledged | None = Field(
        None, description="Who takes care of it; it ends when something else is wrong, or with the next load."
    )


class Copied(Answer):
    """How old what the page shows is."""

    at: datetime | None = Field(description="When the audit tables were last copied or asked; None for never.")
    age: float | None = Field(description="Seconds since then.")
    warehouse: str = Field(description="The kind of warehouse.")
    note: str = Field("", description="Why it is not newer, where there is a reason.")


class Overview(Answer):
    """All tables that the user may see, and the YAMLs that are broken."""

    now: datetime
    copied: Copied
    tables: list[TableRow]
    scheduled: bool = Field(description="Whether a scheduler runs: without one no run begins.")
    may_run: list[str] = Field(description="The sources of which the user may start runs.")
    broken: list[BrokenFile]


class Verdict(Answer):
    """What is wrong with a table, whose problem it is, what shows it, and what to do next."""

    table: str
    code: str
    state: StateWord
    whose: str
    sentence: str
    evidence: list[str]
    next: str
    also: list[str]


class Miss(Answer):
    """A deadline that a run missed."""

    run_id: str
    deadline: datetime
    noticed_at: datetime


class Box(Answer):
    """A box of a picture, at its place: columns from left to right, rows from top to bottom."""

    name: str
    title: str
    detail: str
    kind: str
    column: int
    row: float
    state: str = ""
    source: str = Field("", description="The source whose page shows more of it; empty where there is none.")


class Arrow(Answer):
    """An arrow of a picture: the places it goes through, as columns and rows."""

    points: list[tuple[int, float]]


class Graph(Answer):
    """A picture: boxes and arrows."""

    boxes: list[Box]
    arrows: list[Arrow]


class Source(Answer):
    """A source: its tables as in the list, what is wrong with them, and what holds for all of them."""

    now: datetime
    copied: Copied
    name: str
    description: str
    file: str
    schedule: str
    timezone: str
    covers: str = Field(description="Since when there are data.")
    retries: str
    sensors: list[str] = Field(description="What a run waits for.")
    has_schedule: bool
    scheduled: bool = Field(description="Whether a scheduler runs: without one no run begins.")
    may_run: bool = Field(description="Whether the user may start runs of it, backfills among them.")
    may_edit: bool = Field(description="Whether the user may pause it, and acknowledge an incident.")
    tables: list[TableRow]
    verdicts: list[Verdict]
    misses: list[Miss]
    waiting: Graph = Field(description="Who waits for whom, with this source in the middle.")


class LoadRow(Answer):
    """One load. `read` is the sum of `loaded`, `rejected`, `duplicate`, `unchanged`, `filtered` and `withheld`."""

    load_id: str
    run_id: str
    window_start: datetime
    window_end: datetime
    started_at: datetime | None
    loaded_at: datetime
    read: int
    loaded: int
    rejected: int
    duplicate: int
    unchanged: int
    filtered: int
    withheld: int
    deleted: int
    bytes: int
    business_date: str | None
    full_refresh: bool
    failed: bool
    replaced: bool = Field(description="Whether a later full refresh took the place of its rows.")


class Span(Answer):
    """A span of time."""

    start: datetime
    end: datetime


class Loads(Answer):
    """The loads of a table, the newest window first, and the windows that are missing between them."""

    table: str
    timezone: str
    loads: list[LoadRow]
    gaps: list[Span]
    band: Band | None
    more: bool = Field(description="Whether there are older loads than these.")


class RejectedLoadRow(Answer):
    """The rejects of a load."""

    table: str
    load_id: str
    window_start: datetime | None
    window_end: datetime | None
    rows: int
    reason: str
    rejected_at: datetime
    state: str
    by: str = Field(description="What closed them: the id of a load, or a person; empty where they are open.")
    why: str = Field(description="Why a person dismissed them.")


class ReasonRow(Answer):
    """A reason of open rejects, with a record as it was rejected; personal data is not in it."""

    table: str
    reason: str
    rows: int
    record: str


class Rejects(Answer):
    """Rows that were not loaded."""

    reasons: list[ReasonRow]
    loads: list[RejectedLoadRow]


class ChangeRow(Answer):
    """A column that changed."""

    table: str
    column: str
    change: str
    old_type: str | None
    type: str | None
    changed_at: datetime
    load_id: str


class Result(Answer):
    """One result of a check."""

    status: str
    failing_rows: int | None
    message: str
    checked_at: datetime
    run_id: str


class CheckHistory(Answer):
    """A check with its newest results, the newest last."""

    kind: str
    table: str
    name: str
    severity: str
    results: list[Result]


class SettingRow(Answer):
    """A value of the config in effect, and where it comes from."""

    path: str
    value: str
    origin: str
    where: str


class ConfigAnswer(Answer):
    """The config in effect."""

    file: str
    settings: list[SettingRow]


class ColumnRow(Answer):
    """A column of a table, as the data dictionary of `elt docs` has it."""

    source: str
    table: str
    column: str
    type: str
    nullable: bool
    pii: str
    description: str
    roles: list[str]
    checks: list[str]
    owner: str


class BackfillWindow(Answer):
    """A run of a backfill: its window, whether it is loaded, and what earlier runs say that it brings and takes."""

    start: datetime
    end: datetime
    tables: list[str]
    loaded: bool
    rows: int | None
    seconds: float | None
    conf: dict[str, str | list[str]] = Field(description="What a run of it is triggered with.")


class Backfill(Answer):
    """What a backfill of a range would load, as `elt backfill` has it."""

    timezone: str
    windows: list[BackfillWindow]
    never: dict[str, str] = Field(description="The tables that it leaves out, and why.")
    why: str = Field("", description="Why there is nothing to load.")


class Acknowledgement(BaseModel):
    """What someone writes of a table with which something is wrong."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str = Field(description="The table; empty for a config that loads none.", max_length=200)
    why: str = Field(description="What is being done about it.", min_length=1, max_length=500, pattern=r"\S")


class Draft(BaseModel):
    """The text of a YAML that is being written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(max_length=200_000)


class DraftMistake(Answer):
    """One thing that is wrong in the text of a YAML, or that cannot be judged here, at its line."""

    line: int
    column: int
    code: str
    message: str
    hint: str
    file: str = Field("", description="The file of defaults that it is in; empty for the text itself.")


class Stage(Answer):
    """A stage of a DAG with its tasks."""

    title: str
    graph: Graph


class Checked(Answer):
    """What is wrong with a text, and the DAG that it would make."""

    file: str = Field(description="The name that its file would have.")
    mistakes: list[DraftMistake]
    notes: list[DraftMistake] = Field(description="What depends on variables that are not read here.")
    stages: list[Stage] = Field(description="The DAG, stage after stage; empty while it cannot be built.")
    undrawn: str = Field("", description="Why the DAG is not drawn, where nothing is wrong.")


class Repository(Answer):
    """The git repository in which the configs are."""

    branch: str = Field(description="The branch that Airflow reads.")
    folder: str
    page: str = Field(description="Its address for people; empty where there is none that is known.")


class Onboarding(Answer):
    """What the user may do with a config that is being written."""

    connections: bool = Field(description="Whether connections may be sampled, those that the user may change.")
    known: list[str] = Field(description="Connections in Airflow's database that the user may change.")
    hosts: list[str] = Field(description="Hosts, or patterns of them, of which URLs may be sampled.")
    repository: Repository | None = Field(description="Where a branch may be pushed to; none where not.")


class SampleWish(BaseModel):
    """What a config is to be written for: a connection of Airflow, or a URL."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Name of the config.", pattern=r"^[a-z][a-z0-9_]{0,99}$")
    connection: str | None = Field(None, max_length=250)
    url: str | None = Field(None, max_length=2000)
    path: str | None = Field(None, description="Path of the API, or pattern of files.", max_length=1000)
    tables: list[str] = Field([], description="Tables of a database, or patterns; none for all.", max_length=200)
    schema_name: str | None = Field(None, description="Schema of these tables.", max_length=250)


class SkippedTable(Answer):
    """A table that is left out, and why."""

    name: str
    reason: str


class SampledConfig(Answer):
    """The config that `elt new` would write."""

    file: str
    text: str
    skipped: list[SkippedTable]
    todo: list[str] = Field(description="What is left to do before it can run.")


class Proposal(Answer):
    """A branch with the config."""

    branch: str
    base: str
    file: str
    commit: str
    pushed: bool = Field(description="Whether it was pushed now; else a branch of this text was there already.")
    page: str = Field(description="Where it becomes a pull request; empty for a git host that is not known.")


class CostRow(Answer):
    """A step of the newest runs: how many had it, the seconds of all of them, and those of the run in the middle."""

    step: str
    table: str
    runs: int
    seconds: float
    usual: float


class BudgetUse(Answer):
    """The budget of a source, and what of it was used when a run last looked; the warehouse is not asked again."""

    unit: str
    limit: float
    per: str
    stops: bool
    used: float | None = None
    looked_at: datetime | None = None


class Cost(Answer):
    """What the newest runs of a source took, step by step."""

    runs: int
    seconds: float
    steps: list[CostRow]
    budget: BudgetUse | None = None
    statement: str = Field(
        "", description="On Snowflake: what says the queries by their tag. The page does not ask it."
    )
