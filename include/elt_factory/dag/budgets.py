"""The task that looks whether the budget of a source is used up, before a run reads anything."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseOperator

from elt_factory.config.models.budget import Budget
from elt_factory.config.models.source import Config
from elt_factory.core.failures import BudgetError
from elt_factory.dag.alerts import report
from elt_factory.dag.runtime import get_connection, purpose, run_of, warehouse
from elt_factory.warehouse.opening import CONNECTION_ID, kind_of
from elt_factory.warehouse.spending import used


class BudgetOperator(BaseOperator):
    """Compare what a source has cost in the day or month with its budget; what is over it is reported, or the end."""

    ui_color = "#f6efdd"

    def __init__(self, *, config: Config, budget: Budget, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.budget = budget
        self.told = ""

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Return what is used, which the UI shows as XCom.

        Raises:
            BudgetError: the budget is used up, and its severity is error.
        """
        run, budget = run_of(context, self.config), self.budget
        began = budget.began(datetime.now(UTC), self.config.timezone)
        meter = kind_of(get_connection(CONNECTION_ID)).meter
        with warehouse(purpose(run, "quality", says="budget")) as opened:
            spent = used(opened, meter, self.config.name, budget, began)
        if spent is None:
            self.told = "this warehouse bills no credits: the budget is ignored"
        else:
            self.told = f"{spent:,.2f} of {budget.limit:g} {budget.unit} of this {budget.per} used"
        self.log.info("%s: %s", self.config.name, self.told)
        if spent is not None and spent >= budget.limit:
            self._exceeded(run.run_id, began)
        figures = {"used": spent, "limit": budget.limit, "unit": budget.unit, "per": budget.per}
        return {**figures, "since": began.isoformat()}

    def _exceeded(self, run_id: str, began: datetime) -> None:
        text = f"{self.config.name}: the budget is used up: {self.told}"
        stops = self.budget.severity == "error"
        text += "; nothing is read until the next one begins" if stops else "; runs continue"
        # one alert a period, however many runs it has
        report(self.config, "budget_exceeded", text, f"budget-{began:%Y-%m-%d}", "" if not stops else run_id)
        if stops:
            raise BudgetError(f"{text}; hint: raise budget.{self.budget.unit}, or set budget.severity: warn")
        self.log.warning("%s", text)
