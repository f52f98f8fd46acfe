"""The cases of `parse.py`: each is run in a process of its own, builds DAGs in one way, and prints how long it took."""

from __future__ import annotations

import json
import logging
import os
import resource
import runpy
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import (
    DAG,
    Asset,
    CronDataIntervalTimetable,
    ExceptionRetryPolicy,
    Param,
    RetryAction,
    RetryRule,
    TaskGroup,
)

ROUNDS = 5
ROOT = Path(__file__).resolve().parents[1]
TABLES = ("orders", "customers")
SOURCE = """name: {name}
description: Orders and customers of shop {name}
owner: data-platform
timezone: Europe/Berlin
schedule: "0 3 * * *"
start_date: 2024-01-01
retries: {{count: 3, delay: 10s, max_delay: 5m}}
extract:
  type: rest_api
  connection: shop_api
  auth: {{type: bearer}}
  paginator: {{type: cursor, cursor_path: next, cursor_param: cursor}}
  rate_limit: 500/minute
tables:
  orders:
    description: One order
    path: /v1/orders
    params: {{since: "{{{{ window.start }}}}", until: "{{{{ window.end }}}}", limit: 1000}}
    records: results
    primary_key: [order_id]
    write_disposition: merge
    incremental: {{cursor: updated_at, lag: 1h}}
    business_date: ordered_at
    columns:
      email: {{type: text, pii: hash}}
      amount: {{type: "decimal(18,2)", nullable: false, checks: [{{between: [0, 100000]}}]}}
  customers:
    description: One customer
    path: /v1/customers
    primary_key: [customer_id]
    write_disposition: replace
sensors:
  before_extract: [{{http: {{connection: shop_api, path: /health}}}}]
  before_transform: [{{freshness: {{table: orders, business_date_within: 26h}}}}]
quality:
  orders: [{{row_count: {{min: 1}}}}]
"""


def write_sources(folder: Path, count: int) -> None:
    for number in range(count):
        (folder / f"shop_{number}.yaml").write_text(SOURCE.format(name=f"shop_{number}"))


def one_config(folder: Path) -> Any:
    """Return the config of the first source, valid: what a hand-written DAG gives its operators."""
    from elt_factory.config.loading import load_config

    write_sources(folder, 1)
    return load_config(folder / "shop_0.yaml").config


def by_hand(config: Any, number: int, form: dict[str, Param]) -> DAG:
    """Return the DAG of a source as one writes it in Python: the same operators with the same arguments."""
    from elt_factory.dag.documentation import dag_document
    from elt_factory.dag.operators import ExtractOperator, LoadOperator, QualityOperator
    from elt_factory.dag.sensors import ReadySensor

    name = f"shop_{number}"
    policy = ExceptionRetryPolicy(
        [RetryRule("elt_factory.core.failures.PermanentError", RetryAction.FAIL, reason="someone must change it")]
    )
    with DAG(
        dag_id=name,
        description=config.description,
        schedule=CronDataIntervalTimetable("0 3 * * *", timezone="Europe/Berlin"),
        start_date=datetime(2024, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")),
        catchup=False,
        tags=["elt"],
        doc_md=dag_document(config),
        params=form,
        default_args={
            "owner": "data-platform",
            "retries": 3,
            "retry_delay": timedelta(seconds=10),
            "retry_exponential_backoff": 2.0,
            "max_retry_delay": timedelta(minutes=5),
            "retry_policy": policy,
        },
        auto_register=False,
    ) as dag:
        with TaskGroup("before_extract") as before_extract:
            ReadySensor(
                task_id="http_shop_api",
                config=config,
                sensor=config.sensors.before_extract[0],
                tables=(),
                trigger_rule="none_failed",
            )
        with TaskGroup("tables") as tables:
            for table in TABLES:
                with TaskGroup(table):
                    extract = ExtractOperator(task_id="extract", config=config, table=table)
                    outlet = Asset(name=f"{name}.{table}", uri=f"elt://{name}/{table}")
                    extract >> LoadOperator(
                        task_id="load", config=config, table=table, pool="warehouse", outlets=[outlet]
                    )
        with TaskGroup("before_transform") as before_transform:
            ReadySensor(
                task_id="freshness_orders",
                config=config,
                sensor=config.sensors.before_transform[0],
                tables=(),
                pool="warehouse",
                trigger_rule="none_failed",
            )
        with TaskGroup("quality") as quality:
            for table in TABLES:
                QualityOperator(task_id=table, config=config, table=table, pool="warehouse", trigger_rule="none_failed")
        before_extract >> tables >> before_transform >> quality
    return dag


def form_of() -> dict[str, Param]:
    moment: dict[str, Any] = {"type": ["null", "string"], "format": "date-time"}
    return {
        "tables": Param(list(TABLES), type="array", items={"type": "string"}, examples=list(TABLES)),
        "full_refresh": Param(False, type="boolean"),
        "window_start": Param(None, **moment),
        "window_end": Param(None, **moment),
    }


def graph(dag: DAG) -> dict[str, list[str]]:
    from dag_factory_peer import as_ours

    return {
        as_ours(task_id): sorted(map(as_ours, task.downstream_task_ids))
        for task_id, task in sorted(dag.task_dict.items())
    }


def floor(folder: Path, count: int) -> Callable[[], list[DAG]]:
    config = one_config(folder)
    return lambda: [by_hand(config, number, form_of()) for number in range(count)]


def floor_without_form(folder: Path, count: int) -> Callable[[], list[DAG]]:
    """Return the floor without its trigger form, which ours has: what is left to the YAML alone."""
    config = one_config(folder)
    return lambda: [by_hand(config, number, {}) for number in range(count)]


def ours(folder: Path, count: int) -> Callable[[], list[DAG]]:
    from elt_factory.dag.loader import load_dags

    write_sources(folder, count)
    return lambda: list(load_dags(folder).values())


def dag_factory(folder: Path, count: int) -> Callable[[], list[DAG]]:
    from dagfactory.dagfactory import _DagFactory

    import dag_factory_peer

    files = dag_factory_peer.write(folder, count, one_config(folder))
    return lambda: [dag for file in files for dag in _DagFactory(config_filepath=str(file)).build_dags().values()]


WAYS = {"floor": floor, "floor_without_form": floor_without_form, "ours": ours, "dag_factory": dag_factory}


def build(folder: Path, count: int, names: list[str]) -> dict[str, Any]:
    """Milliseconds per DAG and way: the median of rounds in turn, after each way has built one DAG to warm up."""
    graphs, work = {}, {}
    for name in names:
        graphs[name] = graph(WAYS[name](folder_of(folder, f"{name}_warm"), 1)()[0])
        work[name] = WAYS[name](folder_of(folder, name), count)
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS if count < 1000 else 3):
        for name in names:
            began = time.process_time()
            assert len(work[name]()) == count
            times[name].append((time.process_time() - began) * 1000 / count)
    assert all(other == graphs[names[0]] for other in graphs.values()), "the ways do not build the same DAGs"
    return {"ms": {name: statistics.median(taken) for name, taken in times.items()}, "mb": peak()}


def folder_of(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


def worker(folder: Path, count: int) -> dict[str, Any]:
    """Return what a worker pays to get the DAG of its task, in milliseconds: our modules and dags/sources.py."""
    write_sources(folder_of(folder, "dag_configs"), count)
    os.environ |= {"ELT_PROJECT": str(folder), "_AIRFLOW_PARSING_CONTEXT_DAG_ID": f"shop_{count // 2}"}
    import airflow.dag_processing.dagbag  # noqa: F401 - every worker has it

    began = time.process_time()
    found = runpy.run_path(str(ROOT / "dags" / "sources.py"))
    seconds = time.process_time() - began
    assert isinstance(found[f"shop_{count // 2}"], DAG)
    return {"ms": seconds * 1000, "mb": peak()}


def bundle_worker(folder: Path, count: int) -> dict[str, Any]:
    """Return the same through the bundle, as Airflow's task runner does it; the DAG processor has made the stubs."""
    from airflow.dag_processing.dagbag import BundleDagBag

    name, configs = f"shop_{count // 2}", folder_of(folder, "dag_configs")
    write_sources(configs, count)
    os.environ["_AIRFLOW_PARSING_CONTEXT_DAG_ID"] = name
    os.environ["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH"] = str(folder / "bundles")
    # a folder that changed just now would be looked through once more, which is not what every task pays
    time.sleep(1.2)
    make = "import sys; from elt_factory.dag.bundle import YamlBundle; YamlBundle(name='s', path=sys.argv[1]).refresh()"
    subprocess.run([sys.executable, "-c", make, str(configs)], check=True, capture_output=True)
    began = time.process_time()
    from elt_factory.dag.bundle import YamlBundle

    bundle = YamlBundle(name="s", path=str(configs))
    bundle.initialize()
    bag = BundleDagBag(bundle.path / f"{name}.yaml.py", bundle_path=bundle.path, bundle_name="s", safe_mode=False)
    seconds = time.process_time() - began
    assert list(bag.dags) == [name], bag.import_errors
    return {"ms": seconds * 1000, "mb": peak()}


def groups_of_models(folder: Path, count: int, case: str) -> dict[str, Any]:
    """How long both ways take for groups of dbt models; or, where the case names one way, the memory it takes."""
    import dbt_groups

    _, _, way = case.partition(":")
    if not way:
        return dbt_groups.compare(folder, count)
    held = dbt_groups.hold(folder, count, way)
    assert len(held) == count
    return {"mb": peak()}


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    logging.disable(logging.WARNING)
    case, folder, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if case.startswith("dbt_groups"):
        result = groups_of_models(folder, count, case)
    elif case in ("worker", "bundle_worker"):
        result = {"worker": worker, "bundle_worker": bundle_worker}[case](folder, count)
    else:
        result = build(folder, count, case.split(","))
    print("RESULT" + json.dumps(result))


if __name__ == "__main__":
    main()
