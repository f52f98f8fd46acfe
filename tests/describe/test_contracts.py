"""Contracts of the Open Data Contract Standard: its own examples lose nothing, and what is written is valid."""

import copy
import json
import os
from pathlib import Path

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from elt_factory.cli.main import app
from elt_factory.config.models.source import SOURCES
from elt_factory.describe.contracts.exporting import contract_of, updated
from elt_factory.describe.contracts.importing import imported
from elt_factory.describe.contracts.merging import _key
from elt_factory.describe.contracts.rules import check_of, rule_of

FOLDER = Path(__file__).parent / "odcs"
# the standard's largest example, which is too large to be kept here: ODCS_EXAMPLES names more folders
MORE = [Path(folder) for folder in os.environ.get("ODCS_EXAMPLES", "").split(os.pathsep) if folder]
EXAMPLES = sorted(file for folder in [FOLDER, *MORE] for file in folder.rglob("*.odcs.yaml"))
SCHEMA = json.loads((FOLDER / "odcs-json-schema-v3.1.0.json").read_text())


def valid(contract):
    # as YAML and JSON have it: dates are text
    plain = json.loads(json.dumps(contract, default=str))
    assert [error.message for error in jsonschema.Draft201909Validator(SCHEMA).iter_errors(plain)] == []


def at(document, place):
    """What a contract has at a place, its lists by the names of their entries."""
    for name in place:
        if isinstance(document, list):
            keys = ("name", "property", "metric", "username")
            document = next(e for e in document for key in keys if isinstance(e, dict) and e.get(key) == name)
        else:
            document = document[name]
    return document


def leaves(document, place=()):
    if isinstance(document, dict):
        for name, value in document.items():
            yield from leaves(value, (*place, name))
    elif isinstance(document, list) and (key := _key(document)):
        for entry in document:
            yield from leaves(entry, (*place, entry[key]))
    else:
        yield place, document


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_each_of_the_standards_examples_comes_back_without_loss(file):
    document = yaml.safe_load(file.read_text())
    before = copy.deepcopy(document)
    found = imported(document)
    held = contract_of(found.data, found.names)
    valid(held)
    if found.data["tables"]:
        SOURCES.get("sql").config.model_validate(found.data)
    assert updated(document, held, held) == before == document
    # every value is in the config, or is listed as one that is kept in the contract
    for place, value in leaves(document):
        parts = [".".join(map(str, place[:length])) for length in range(1, len(place) + 1)]
        assert any(part in found.kept for part in parts) or at(held, place) == value, place


def test_there_are_examples():
    assert len(EXAMPLES) >= 17


CONFIG = {
    "name": "flights",
    "description": "Departures",
    "owner": "data-platform",
    "tags": ["travel"],
    "schedule": "0 3 * * *",
    "deadline": {"by": "06:00", "timezone": "America/New_York"},
    "tables": {
        "flights": {
            "description": "One departure",
            "primary_key": ["flight_id"],
            "business_date": "time_hour",
            "columns": {
                "flight_id": {"type": "text", "nullable": False, "checks": [{"unique": True}]},
                "origin": {
                    "type": "text",
                    "checks": [
                        {"not_null": True, "max_failing": 3},
                        {"accepted_values": ["EWR", "JFK"], "severity": "warn"},
                        {"length": {"min": 3}},
                    ],
                },
                "tailnum": {
                    "type": "text",
                    "checks": [
                        {"regex": "^N", "max_failing": "0.1%"},
                        {"relationships": {"table": "planes", "column": "tailnum"}},
                    ],
                },
                "price": {
                    "type": "decimal(10,2)",
                    "checks": [{"between": [0, 5], "severity": "quarantine"}, {"mean": {"within": "20%"}}],
                },
                "time_hour": {"type": "timestamp"},
                "email": {"type": "text", "pii": "hash"},
            },
        },
        "planes": {"primary_key": ["tailnum"], "columns": {"tailnum": {"type": "text"}}},
    },
    "quality": {
        "flights": [
            {"row_count": {"min": 1, "max": 5000}},
            {"unique": ["origin", "time_hour"]},
            {"expression": "price > 0", "where": "origin = 'JFK'"},
            {"freshness": {"business_date_within": "26h"}},
            {"freshness": {"loaded_within": "2d"}},
            {"query": "select 1 from loaded where price > 4"},
        ]
    },
}


def test_a_config_is_a_valid_contract_and_comes_back():
    contract = contract_of(CONFIG)
    valid(contract)
    assert [promise["property"] for promise in contract["slaProperties"]] == [
        "latency",
        "latency",
        "timeOfAvailability",
        "frequency",
    ]
    found = imported(contract)
    expected = copy.deepcopy(CONFIG)
    # a contract says that a column is personal, and not what is done about it
    del expected["tables"]["flights"]["columns"]["email"]["pii"]
    assert found.kept == ("schema.flights.properties.email.classification",)
    back = dict(found.data)
    assert back.pop("extract") == {"type": "sql", "connection": "flights_db"}
    quality, wanted = back.pop("quality")["flights"], expected.pop("quality")["flights"]
    assert sorted(map(str, quality)) == sorted(map(str, wanted))
    assert back == expected


@pytest.mark.parametrize(
    ("rule", "check"),
    [
        ({"metric": "nullValues", "mustBe": 0}, {"not_null": True}),
        (
            {"type": "library", "rule": "nullCheck", "mustBe": 0, "severity": "warning"},
            {"not_null": True, "severity": "warn"},
        ),
        ({"metric": "nullValues", "mustBeLessThan": 5}, {"not_null": True, "max_failing": 4}),
        (
            {"metric": "nullValues", "mustBeLessOrEqualTo": 5, "unit": "percent"},
            {"not_null": True, "max_failing": "5%"},
        ),
        ({"metric": "duplicateValues", "mustBe": 0}, {"unique": True}),
        (
            {"metric": "invalidValues", "arguments": {"validValues": ["a", None]}, "mustBe": 0},
            {"accepted_values": ["a"]},
        ),
        ({"metric": "invalidValues", "arguments": {"pattern": "^a"}, "mustBe": 0}, {"regex": "^a"}),
        (
            {"type": "sql", "query": "SELECT sum({property}) FROM {object};", "mustBeLessThan": 3},
            {"query": "SELECT value FROM (\nSELECT sum(c) FROM t\n) AS answer(value) WHERE NOT (value < 3)"},
        ),
        # what says something else than a check could is no check
        ({"metric": "nullValues", "mustBeGreaterThan": 5}, None),
        ({"metric": "nullValues", "mustBeLessThan": 5, "unit": "percent"}, None),
        ({"metric": "missingValues", "arguments": {"missingValues": ["", "n/a"]}, "mustBe": 0}, None),
        ({"metric": "rowCount", "mustBeSomething": 5}, None),
        ({"type": "text", "description": "always right"}, None),
        ({"type": "custom", "engine": "soda", "implementation": "checks for t:"}, None),
        ({"type": "sql", "query": "SELECT ${odd} FROM {object}", "mustBe": 0}, None),
    ],
)
def test_a_rule_is_the_check_that_says_the_same_or_none(rule, check):
    found = check_of(rule, "t", "c")
    assert (found[0] if found else None) == check


@pytest.mark.parametrize(
    ("limits", "check"),
    [
        ({"mustBeGreaterThan": 5}, {"min": 6}),
        ({"mustBeGreaterOrEqualTo": 5}, {"min": 5}),
        ({"mustBeBetween": [1, 9]}, {"min": 1, "max": 9}),
        ({"mustBe": 4}, {"min": 4, "max": 4}),
        ({"mustBeLessThan": 9, "mustBeGreaterThan": 0}, {"min": 1, "max": 8}),
    ],
)
def test_the_volume_of_a_contract_is_a_row_count(limits, check):
    assert check_of({"metric": "rowCount", **limits}, "t", None) == ({"row_count": check}, True)


def test_every_kind_of_check_comes_back_from_its_rule():
    for table in CONFIG["tables"].values():
        for column in table["columns"].values():
            for check in (check for check in column.get("checks", ()) if "relationships" not in check):
                assert check_of(rule_of(check), "t", "c") == (check, False)
    for check in CONFIG["quality"]["flights"]:
        assert check_of(rule_of(check), "t", None) == (check, True)


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "dag_configs").mkdir()
    monkeypatch.setenv("ELT_PROJECT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def elt(*arguments):
    return CliRunner().invoke(app, ["contract", *map(str, arguments)])


def test_a_contract_is_imported_changed_and_exported(project):
    """What the config cannot hold stays as it was; what changes in the config changes in the contract alone."""
    example = FOLDER / "full-example.odcs.yaml"
    said = elt("import", example)
    assert said.exit_code == 0, said.output
    assert "dag_configs/my_quantum.yaml: 2 tables" in said.output
    assert "parts of the contract are only in contracts/my_quantum.odcs.yaml" in said.output
    document = yaml.safe_load(example.read_text())
    assert yaml.safe_load(elt("export", "my_quantum").output) == document
    again = elt("import", example)
    assert again.exit_code == 1
    config = project / "dag_configs" / "my_quantum.yaml"
    data = yaml.safe_load(config.read_text())
    columns = data["tables"]["tbl"]["columns"]
    columns["rcvr_cntry_code"]["description"] = "ISO code"
    columns["rcvr_cntry_code"]["checks"] = [{"regex": "^[A-Z]{2}$"}]
    columns["amount"] = {"type": "decimal(10,2)"}
    data["quality"]["tbl"] = [{"row_count": {"min": 5}}]
    data["owner"] = "sales"
    config.write_text(yaml.safe_dump(data, sort_keys=False))
    assert elt("export", "my_quantum", "--output", project / "new.yaml").exit_code == 0
    now = yaml.safe_load((project / "new.yaml").read_text())
    valid(now)
    was, table = document["schema"][0], now["schema"][0]
    assert [p["name"] for p in table["properties"]] == [*(p["name"] for p in was["properties"]), "amount"]
    changed = {p["name"]: p for p in table["properties"]}["rcvr_cntry_code"]
    old = {p["name"]: p for p in was["properties"]}["rcvr_cntry_code"]
    assert changed["description"] == "ISO code"
    assert {k: v for k, v in changed.items() if k not in ("description", "quality")} == {
        k: v for k, v in old.items() if k not in ("description", "quality")
    }
    assert [rule["metric"] for rule in changed["quality"]] == ["invalidValues"]
    assert {k: v for k, v in now.items() if k not in ("schema", "team")} == {
        k: v for k, v in document.items() if k not in ("schema", "team")
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not valid YAML"),
        ("kind: Other", "not a data contract"),
        ("apiVersion: v2.2.2\nkind: DataContract", "expected a contract of version 3"),
        ("apiVersion: v3.1.0\nkind: DataContract\nname: x", "so there is no table to load"),
    ],
)
def test_what_is_not_a_contract_is_said(project, text, message):
    (project / "x.yaml").write_text(text)
    said = elt("import", project / "x.yaml")
    assert said.exit_code == 1
    assert message in " ".join(said.output.split())
    assert not list((project / "dag_configs").iterdir())
