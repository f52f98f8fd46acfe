"""The values of a column are distributed as in earlier loads: NULLs, distinct values, quantiles, categories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from elt_factory.checks.against import number_words
from elt_factory.checks.counting import LoadedRows, counted_rows
from elt_factory.checks.history import Compared, Figure, History
from elt_factory.checks.kind import WHERE, Checking, ColumnCheckKind, Outcome, Scanned
from elt_factory.checks.values import NOT_A_NUMBER, hashed
from elt_factory.config.errors import MistakeError
from elt_factory.config.models.base import Model
from elt_factory.config.models.schema_patterns import any_of
from elt_factory.config.models.table import Column
from elt_factory.config.models.values import Share
from elt_factory.core.amount import amount
from elt_factory.core.verdict import Verdict

QUANTILES: Mapping[str, float] = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
_PARTS = ("nulls", "distinct", "quantiles", "categories")
_LISTED = 100  # categories, the most frequent ones


class Distribution(Model):
    """Largest changes of how a column's values are distributed, against the mean of earlier loads."""

    schema_rules: ClassVar[Sequence[dict[str, Any]]] = (any_of(*_PARTS),)

    nulls: Share | None = Field(
        None, description="Largest change of the share of NULLs, in percentage points.", examples=["5%"]
    )
    distinct: Share | None = Field(
        None,
        description="Largest change of the share of distinct values among all values, in percentage points.",
        examples=["10%"],
    )
    quantiles: Share | None = Field(
        None,
        description=(
            "Largest shift of the 5%, 25%, 50%, 75% and 95% quantiles of numbers, as a share of the distance between "
            "the first and the last of them."
        ),
        examples=["20%"],
    )
    categories: Share | None = Field(
        None,
        description="Largest change of the share of any one value, in percentage points, among the 100 most frequent.",
        examples=["10%"],
    )
    of: Compared | None = Field(
        None,
        description=(
            "Loads to compare with: the last 7, the last 30, or the last 4 of the same weekday. "
            "Default: trailing_7_runs."
        ),
        examples=["trailing_30_runs"],
    )

    @model_validator(mode="after")
    def _something_to_check(self) -> Self:
        if all(getattr(self, part) is None for part in _PARTS):
            hint = "write nulls, distinct, quantiles or categories"
            raise MistakeError("distribution needs a limit", hint, code="incomplete")
        return self

    @property
    def compared_with(self) -> Compared:
        """The loads to compare with."""
        return self.of or "trailing_7_runs"


def _look(rule: Distribution, name: str, checking: Checking) -> Scanned | None:
    rows = checking.rows
    if rows is None:
        return None
    column = rows.column(name)

    def judge(values: Sequence[Any]) -> Outcome:
        shares = _shares_of(checking, rows, column) if rule.categories is not None and values[1] else {}
        figures = list(_figures(name, rows.where, values, shares))
        if not values[1]:
            # an empty load has no distribution
            figures = [figure for figure in figures if figure.metric == "null_share" and figure.value is not None]
        return Outcome(compared(rule, figures, checking.history()), figures=figures)

    return Scanned(aggregates(rows, column, of_numbers=rule.quantiles is not None), judge)


def aggregates(rows: LoadedRows, column: str, *, of_numbers: bool) -> tuple[str, ...]:
    """Return the aggregates of a column's distribution: rows, values, distinct values, and quantiles of numbers."""
    value = rows.only(column)
    quantiles = [
        f"percentile_cont({share}) WITHIN GROUP (ORDER BY CAST({value} AS DOUBLE))" for share in QUANTILES.values()
    ]
    return (counted_rows(rows), f"count({value})", f"count(DISTINCT {value})", *(quantiles if of_numbers else ()))


def categories(rows: LoadedRows, column: str, limit: int) -> str:
    """SELECT of the most frequent values of a column and how often each is there."""
    conditions = " AND ".join((rows.own, *rows.conditions, f"{column} IS NOT NULL"))
    return (
        f"SELECT CAST({column} AS VARCHAR), count(*) FROM {rows.table.sql(rows.dialect)} WHERE {conditions} "
        f"GROUP BY {column} ORDER BY count(*) DESC, CAST({column} AS VARCHAR) LIMIT {limit}"
    )


def _shares_of(checking: Checking, rows: LoadedRows, column: str) -> dict[str, float]:
    found = checking.warehouse.query(categories(rows, column, _LISTED)).rows
    total = sum(int(count) for _, count in found)
    return {str(value): int(count) / total for value, count in found}


def _figures(name: str, where: str, values: Sequence[Any], shares: Mapping[str, float]) -> Iterator[Figure]:
    rows, known, distinct, *quantiles = values
    yield Figure(name, "null_share", 1 - known / rows if rows else None, where=where)
    yield Figure(name, "distinct_share", distinct / known if known else None, where=where)
    for quantile, value in zip(QUANTILES, quantiles, strict=False):
        yield Figure(name, quantile, None if value is None else float(value), where=where)
    if shares:
        yield Figure(name, "categories", shares=shares, where=where)


def compared(rule: Distribution, figures: Sequence[Figure], history: History) -> Verdict:
    """Return whether a column is distributed as before; what has changed too much is named, the rest is not."""
    now = {figure.metric: figure for figure in figures}
    before = {metric: history.of(figure, rule.compared_with) for metric, figure in now.items()}
    loads = max((len(found) for found in before.values()), default=0)
    if not loads:
        return Verdict(True, "no earlier load to compare with")
    shifts = list(_shifts(rule, now, before))
    if shifts:
        return Verdict(False, f"{'; '.join(shifts)}; compared with the previous {amount(loads, 'load')}")
    return Verdict(True, f"distributed like the previous {amount(loads, 'load')}")


def _shifts(rule: Distribution, now: Mapping[str, Figure], before: Mapping[str, Sequence[Figure]]) -> Iterator[str]:
    for part, metric, words in (("nulls", "null_share", "NULL"), ("distinct", "distinct_share", "distinct")):
        allowed = getattr(rule, part)
        old, new = _mean(before.get(metric, ())), now[metric].value if metric in now else None
        if allowed is not None and old is not None and new is not None and abs(new - old) > allowed:
            yield f"{new:.1%} are {words}, before {old:.1%}"
    if rule.quantiles is not None:
        yield from _moved(rule.quantiles, now, before)
    if rule.categories is not None:
        yield from _other_shares(rule.categories, now.get("categories"), before.get("categories", ()))


def _mean(figures: Sequence[Figure]) -> float | None:
    values = [figure.value for figure in figures if figure.value is not None]
    return sum(values) / len(values) if values else None


def _moved(allowed: float, now: Mapping[str, Figure], before: Mapping[str, Sequence[Figure]]) -> Iterator[str]:
    old = {name: _mean(before.get(name, ())) for name in QUANTILES}
    low, high = old["p05"], old["p95"]
    if low is None or high is None:
        return
    for name, past in old.items():
        new = now[name].value if name in now else None
        if past is not None and new is not None and abs(new - past) > allowed * (high - low):
            yield f"the {QUANTILES[name]:.0%} quantile is {number_words(new)}, before {number_words(past)}"


def _other_shares(allowed: float, now: Figure | None, before: Sequence[Figure]) -> Iterator[str]:
    if now is None or not before:
        return
    for value in sorted({*now.shares, *(value for figure in before for value in figure.shares)}):
        old = sum(figure.shares.get(value, 0.0) for figure in before) / len(before)
        new = now.shares.get(value, 0.0)
        if abs(new - old) > allowed:
            yield f'{new:.1%} are "{value}", before {old:.1%}'


def _words(rule: Distribution) -> str:
    parts = [(part, getattr(rule, part)) for part in _PARTS]
    limits = ", ".join(f"{part} {share * 100:g}%" for part, share in parts if share is not None)
    return f"{limits} of {rule.compared_with.replace('_', ' ')}"


def _label(_: Distribution) -> str:
    return "distribution"


def _mistakes(rule: Distribution, name: str, column: Column) -> Iterator[MistakeError]:
    if rule.categories is not None or rule.quantiles is not None:
        yield from hashed("distribution of values", name, column)
    if rule.quantiles is not None and column.type and column.type.name in NOT_A_NUMBER and not column.pii:
        message = f'"{name}" is of type {column.type}, and quantiles are for numbers'
        yield MistakeError(message, "remove quantiles, or change the type", at=("quantiles",), code="conflict")


KIND = ColumnCheckKind(
    name="distribution",
    model=Distribution,
    description="Limits on how far the distribution of the load's values may shift.",
    examples=({"nulls": "5%", "quantiles": "20%"},),
    words=_words,
    label=_label,
    look=_look,
    options=frozenset({WHERE}),
    mistakes=_mistakes,
    schemas={name: {"not": {"required": ["quantiles"]}} for name in NOT_A_NUMBER},
)
