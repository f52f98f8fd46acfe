"""No value is taken from a path: folders named like `key=value` are folders, whoever made them."""

import re
from pathlib import Path

import duckdb
import pytest
from landing_support import WINDOW, Lander

from elt_factory.config.models.source import SOURCES
from elt_factory.config.models.table import Table
from elt_factory.extract.request import ReadRequest, Spool
from elt_factory.landing.land import land
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable
from elt_factory.sources.read import read
from elt_factory.warehouse.base import LoadOrder
from elt_factory.warehouse.dialect import Relation
from elt_factory.warehouse.duckdb.warehouse import DuckDBWarehouse

ROOT = Path(__file__).parents[2]
IDS = [f"t{number}" for number in range(1000)]
ROWS = [{"tenant": name, "day": number} for number, name in enumerate(IDS)]


def write(form: str, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    if form == "parquet":
        query = "SELECT 't' || range AS tenant, range AS day FROM range(1000)"
        duckdb.execute(f"COPY ({query}) TO '{file}' (FORMAT parquet)")
    elif form == "csv":
        file.write_text("tenant,day\n" + "".join(f"{row['tenant']},{row['day']}\n" for row in ROWS))
    else:
        file.write_text("".join(f'{{"tenant": "{row["tenant"]}", "day": {row["day"]}}}\n' for row in ROWS))
    return file


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_a_source_below_folders_named_like_columns_keeps_its_values(tmp_path, form):
    file = write(form, tmp_path / "tenant=acme" / "day=5" / f"orders.{form}")
    landed = Lander(tmp_path / "elsewhere").land(Spool(form, (file,)))
    assert (landed.types, landed.rows) == ({"tenant": "text", "day": "integer"}, ROWS)


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_files_of_several_such_folders_are_one_table_without_another_column(tmp_path, form):
    files = tuple(write(form, tmp_path / f"region={name}" / f"orders.{form}") for name in ("eu", "us"))
    landed = Lander(tmp_path / "elsewhere").land(Spool(form, files))
    assert (sorted(landed.types), landed.manifest.rows) == (["day", "tenant"], 2000)


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_a_project_and_a_landing_below_such_folders_change_no_value(tmp_path, form):
    project = tmp_path / "tenant=acme" / "_load_id=1"
    write(form, project / "in" / f"orders.{form}")
    source = SOURCES.get("files").config.model_validate(
        {
            "name": "src",
            "extract": {"type": "files", "folder": "in"},
            "tables": {"tab": {"path": f"*.{form}", "format": {"type": form}}},
        }
    )
    work = project / "work"
    work.mkdir()
    spool = read(ReadRequest(source, "tab", WINDOW, "L1", None, work, project, print))
    place = LocalPlace(project / "landing" / "day=7")
    manifest = land(LandRequest(KnownTable("src", "tab", Table(), None), WINDOW, "L1", spool, place, work, print))
    with DuckDBWarehouse(project / "warehouse.duckdb") as warehouse:
        warehouse.load(LoadOrder(manifest, place, Relation("src", "tab"), "append", (), "run"))
        query = 'SELECT tenant, day, count(*) OVER () FROM "src"."tab" ORDER BY day'
        assert warehouse.query(query).rows == [(row["tenant"], row["day"], 1000) for row in ROWS]


def test_every_call_of_a_reader_says_that_paths_have_no_values():
    reader = re.compile(r"(?<![.\w])(?<!def )(?:read|scan)_(?:parquet|csv|json|ndjson)\w*\(")
    calls = [
        f"{file.relative_to(ROOT)}: {text[found.start() : found.start() + 120]}"
        for folder in ("include", "benchmarks", "dags", "plugins")
        for file in (ROOT / folder).rglob("*.py")
        for text in [file.read_text(encoding="utf-8")]
        for found in reader.finditer(text)
    ]
    assert len(calls) > 5
    said = re.compile(r"LITERAL_PATHS|hive_partitioning = false")
    assert [call for call in calls if not said.search(call)] == []


def test_no_query_names_a_file_as_a_table():
    quoted = re.compile(r"(?:FROM|JOIN|COPY \S+ FROM) '[^']*\.(?:parquet|csv|json|ndjson)", re.IGNORECASE)
    found = [file for file in (ROOT / "include").rglob("*.py") if quoted.search(file.read_text(encoding="utf-8"))]
    assert found == []
