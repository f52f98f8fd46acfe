"""How many of the rows that a load read were rejected."""

from __future__ import annotations

from elt_factory.checks.kind import Checking, Outcome, TableCheckKind
from elt_factory.config.models.allowance import Allowance, CountOrShare
from elt_factory.core.amount import amount
from elt_factory.core.verdict import Verdict
from elt_factory.warehouse import state


def _look(limit: Allowance, checking: Checking) -> Outcome:
    rejected, read = state.rejected_of(checking.warehouse, checking.request.load_id)
    message = f"{rejected:,} of {amount(read, 'row was', 'rows were')} rejected; {limit} may"
    return Outcome(Verdict(limit.allows(rejected, read), message), rejected)


def _words(limit: Allowance) -> str:
    return f"at most {limit}"


def _label(_: Allowance) -> str:
    return "share of rejects"


KIND = TableCheckKind(
    name="rejects",
    model=CountOrShare,
    description="Rows that the load may have rejected: a number, or a share of the rows read.",
    examples=("0.1%",),
    words=_words,
    label=_label,
    look=_look,
)
