"""`elt docs`: a static site with the specification, the dictionary and the lineage of every pipeline."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest
from cli_support import ORDERS, Project

from elt_factory.config.loading import load_config
from elt_factory.describe.models import ColumnNote, DbtRelation, Models
from elt_factory.describe.site import Estate, site

WAITS = """\
name: report
description: What is sold <b>&amp; when</b>
owner: sales
transform: {dbt: {select: "tag:report"}}
alerts: {on: [failure], to: [slack_data]}
sensors: {before_transform: [{source: {name: orders, business_date_within: 26h}}]}
"""
MODELS = Models(
    {
        "source.p.orders.orders": DbtRelation(
            "source.p.orders.orders", "orders", "orders", columns={"amount": ColumnNote("decimal", "What it cost")}
        ),
        "model.p.sold": DbtRelation(
            "model.p.sold",
            "marts",
            "sold",
            "One row a day",
            {"day": ColumnNote("date", "The day")},
            ("source.p.orders.orders",),
        ),
    },
    {"report": ("model.p.sold",)},
)


class Outline(HTMLParser):
    """The tags that are open, the links, the anchors and the text of a page."""

    VOID = ("meta", "link", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.links += [str(found["href"])] if "href" in found else []
        self.anchors |= {str(found["id"])} if "id" in found else set()
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def outline(text: str) -> Outline:
    parser = Outline()
    parser.feed(text)
    assert parser.open == []
    return parser


@pytest.fixture
def pages(tmp_path: Path) -> dict[str, str]:
    configs = []
    for name, text in (("orders", ORDERS), ("report", WAITS)):
        file = tmp_path / f"{name}.yaml"
        file.write_text(text)
        configs.append(load_config(file).config)
    return dict(site(Estate(configs, MODELS)))


def test_every_link_leads_to_a_page_and_every_tag_is_closed(pages: dict[str, str]):
    outlines = {name: outline(text) for name, text in pages.items() if name.endswith(".html")}
    for found in outlines.values():
        for target in found.links:
            file, _, anchor = target.partition("#")
            assert file in pages
            assert not anchor or anchor in outlines[file].anchors


def test_nothing_is_fetched_from_elsewhere(pages: dict[str, str]):
    for text in pages.values():
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//|<script|@import|url\(http", text)


def test_a_page_is_the_whole_specification(pages: dict[str, str]):
    text = outline(pages["orders.html"]).text
    for said in ("sales", "0 3 * * *", "06:00 UTC", "files", "merge", "orders_%Y-%m-%d.csv", "3, after 1m to 30m"):
        assert said in text
    assert "freshness business date within 26h" in text
    assert "row count min 1" in text
    report = outline(pages["report.html"]).text
    assert "orders has loaded the window, business date within 26h" in report
    assert "failure: to slack_data" in report
    assert "tag:report" in report


def test_texts_of_people_cannot_break_a_page(pages: dict[str, str]):
    assert "What is sold &lt;b&gt;&amp;amp; when&lt;/b&gt;" in pages["report.html"]
    assert "What is sold <b>" not in pages["report.html"]


def test_the_dictionary_has_type_nullability_personal_data_and_description_of_every_known_column(
    pages: dict[str, str],
):
    rows = re.findall(r"<tr>(.*?)</tr>", pages["dictionary.html"])
    cells = {cell[1]: cell for cell in (re.findall(r"<td>(.*?)</td>", row) for row in rows) if cell}
    plain = {re.sub("<.*?>", "", name): [re.sub("<.*?>", "", text) for text in row] for name, row in cells.items()}
    assert plain["id"][2:6] == ["integer", "never", "The order&#x27;s number", "key"]
    assert plain["email"][2:6] == ["text", "nullable", "", "personal data: stored as a SHA-256 hash"]
    assert plain["ordered_at"][2:6] == ["timestamp", "nullable", "", "business date"]
    # only dbt's files know of it
    assert plain["amount"][2:5] == ["decimal", "nullable", "What it cost"]


def test_lineage_leads_from_the_system_to_the_models_of_others(pages: dict[str, str]):
    (svg,) = re.findall(r"<svg.*?</svg>", pages["orders.html"], re.DOTALL)
    titles = [title.text for title in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ["sold in marts", "orders.orders merge", "files files"]


def test_the_command_writes_the_site_and_names_what_it_leaves_out(project: Project, tmp_path: Path):
    project.write("orders", ORDERS)
    project.write("report", WAITS)
    project.write("broken", "name: [\n")
    done = project.elt("docs", "--out", str(tmp_path / "site"))
    assert done.exit_code == 1
    assert sorted(file.name for file in (tmp_path / "site").iterdir()) == [
        "dictionary.html",
        "index.html",
        "orders.html",
        "report.html",
        "style.css",
    ]
    assert "broken.yaml" in done.stderr
    assert "report: models skipped" in done.stderr


def test_columns_of_the_warehouse_join_the_dictionary(
    project: Project, airflow_db: Path, monkeypatch: pytest.MonkeyPatch
):
    file = project.root / "warehouse.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE SCHEMA orders; CREATE TABLE orders.orders (id BIGINT, paid DECIMAL(9, 2))")
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "duckdb", "host": str(file)}))
    project.write("orders", ORDERS)
    done = project.elt("docs", "--warehouse")
    assert done.exit_code == 0, done.output
    page = (project.root / "build" / "docs" / "orders.html").read_text()
    assert "<code>paid</code></td><td><code>decimal(9,2)</code>" in page
