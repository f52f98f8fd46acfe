"""The decision tree: rules in their order, the first that holds is the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from elt_factory.core.amount import amount
from elt_factory.diagnosis.anomalies import anomalies
from elt_factory.diagnosis.facts import Facts
from elt_factory.diagnosis.rules import data, platform, tasks, transforms
from elt_factory.diagnosis.verdict import Finding, Rule, Verdict, Whose
from elt_factory.diagnosis.words import cut

_MOST_ALSO = 4


def unusual(facts: Facts) -> Finding | None:
    """Find a figure of the newest load that is far from what the table usually has."""
    found = anomalies(facts)
    if not found:
        return None
    whose: Whose = "pipeline" if found[0].measure == "duration" else "source system"
    step = f"elt sql 'select * from _elt.loads where source = ''{facts.source}'' order by window_end desc limit 14'"
    return Finding(found[0].sentence, [one.sentence for one in found[1:]], step.replace("''", '"'), whose=whose)


# What keeps everything else from being true comes first: a config that cannot be read, then a warehouse that cannot,
# then what failed, then what does not start, waits or runs, then what the data say.
RULES: Sequence[Rule] = (
    Rule("broken-yaml", "failing", "config", platform.broken_yaml),
    Rule("cannot-build", "failing", "config", platform.cannot_build),
    Rule("disk-full", "failing", "platform", platform.warehouse_full),
    Rule("warehouse-suspended", "failing", "warehouse", platform.warehouse_suspended),
    Rule("warehouse-locked", "failing", "warehouse", platform.warehouse_locked),
    Rule("credentials", "failing", "config", platform.warehouse_refuses),
    Rule("warehouse-down", "failing", "warehouse", platform.warehouse_down),
    Rule("worker-killed", "failing", "platform", tasks.worker_killed),
    Rule("missing-connection", "failing", "config", tasks.missing_connection),
    Rule("credentials", "failing", "config", tasks.credentials),
    Rule("rate-limit", "failing", "source system", tasks.rate_limited),
    Rule("disk-full", "failing", "platform", tasks.disk_full),
    Rule("warehouse-suspended", "failing", "warehouse", tasks.warehouse_suspended),
    Rule("warehouse-locked", "failing", "warehouse", tasks.warehouse_locked),
    Rule("retry-pending", "failing", "pipeline", tasks.retry_pending),
    Rule("too-many-rejects", "rejecting", "source system", tasks.too_many_rejects),
    Rule("contract", "failing", "source system", tasks.contract_broken),
    Rule("check-failed", "failing", "source system", tasks.check_failed),
    Rule("dbt-failed", "failing", "transform", tasks.dbt_failed),
    Rule("waited-in-vain", "failing", "source system", tasks.sensor_gave_up),
    Rule("remote-job", "failing", "source system", tasks.remote_job_failed),
    Rule("source-unavailable", "failing", "source system", tasks.source_unavailable),
    Rule("bad-data", "failing", "source system", tasks.bad_data),
    Rule("task-failed", "failing", "pipeline", tasks.task_failed),
    Rule("dag-missing", "late", "platform", platform.dag_missing),
    Rule("paused", "paused", "platform", platform.paused),
    Rule("scheduler-down", "late", "platform", platform.scheduler_down),
    Rule("triggerer-down", "waiting", "platform", platform.triggerer_down),
    Rule("waiting", "waiting", "pipeline", tasks.waiting),
    Rule("no-slot", "waiting", "platform", platform.pool_full),
    Rule("running", "fresh", "none", platform.running),
    Rule("rejects", "rejecting", "source system", data.rejects_open),
    Rule("never-loaded", "never loaded", "none", data.never_loaded),
    Rule("overdue", "late", "pipeline", data.overdue),
    Rule("source-empty", "late", "source system", data.source_empty),
    Rule("source-behind", "late", "source system", data.source_behind),
    Rule("window-gap", "late", "pipeline", data.window_gap),
    Rule("loaded-after-transform", "late", "config", transforms.loaded_after),
    Rule("transform-not-run", "late", "transform", transforms.not_run_since),
    Rule("deadline-too-tight", "late", "config", data.deadline_tight),
    Rule("schema-changed", "fresh", "source system", data.schema_changed),
    Rule("unusual", "fresh", "source system", unusual),
    Rule("check-warned", "fresh", "source system", data.checks_warned),
    Rule("run-since", "fresh", "none", data.run_since),
)
_OF_LOADS = {data.__name__, transforms.__name__, unusual.__module__}


def diagnose(facts: Facts) -> Verdict:
    """Return the verdict on a table: the cause, what shows it, and the next step. It reads nothing but the facts."""
    found = list(_holding(facts))
    if not found:
        return _healthy(facts)
    first, *others = found
    more = [cut(other.sentence) for other in others if other.code != first.code]
    return replace(first, also=tuple(more[:_MOST_ALSO]))


def _holding(facts: Facts) -> Iterator[Verdict]:
    """Yield the rules that hold, in their order; of tasks only the first, as the others say the same in other words.

    Of a warehouse that could not be read it is not known what is loaded, and nothing is said of it.
    """
    seen = False
    for rule in RULES:
        if facts.warehouse is not None and rule.find.__module__ in _OF_LOADS:
            continue
        about_tasks = rule.find.__module__ == tasks.__name__ and rule.code != "waiting"
        if about_tasks and seen:
            continue
        found = rule.applied(facts)
        if found is not None:
            seen = seen or about_tasks
            yield found


def _healthy(facts: Facts) -> Verdict:
    told = "; ".join(data.fresh(facts)) or _without_loads(facts)
    return Verdict(facts.source, facts.table, "healthy", "fresh", "none", f"{facts.label} is fresh: {told}")


def _without_loads(facts: Facts) -> str:
    inputs = [table for table in facts.inputs if table.newest]
    return f"it has transformed the newest loads of {amount(len(inputs), 'table')}" if inputs else "nothing is due"
