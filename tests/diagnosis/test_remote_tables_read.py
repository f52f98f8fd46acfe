"""What dbt reads of a table that another system loads: by the name that it has in the warehouse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from elt_factory.config.loading import load_config
from elt_factory.config.models.source import Config
from elt_factory.dag.impact import downstream
from elt_factory.describe.lineage import lineage
from elt_factory.describe.models import DbtRelation, Models
from elt_factory.diagnosis.readers import reads_of

YAML = """
name: shop
extract: {type: remote_job, connection: airbyte_api, job: {airbyte: {connection_id: abc}}}
tables: {orders: {relation: Raw_Shop.orders}}
transform: {dbt: {select: "tag:shop"}}
"""
SOURCE, MODEL = "source.p.raw.orders", "model.p.revenue"
MANIFEST = {
    "nodes": {
        MODEL: {
            "resource_type": "model", "name": "revenue", "tags": ["shop"], "depends_on": {"nodes": [SOURCE]},
        }
    },
    "sources": {SOURCE: {"schema": "raw_shop", "name": "orders", "identifier": "ORDERS"}},
    "child_map": {SOURCE: [MODEL]},
}  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> Config:
    file = tmp_path / "shop.yaml"
    file.write_text(YAML)
    return load_config(file).config


def test_the_models_that_read_it_are_known_to_diagnosis_and_to_alerts(config, tmp_path):
    manifest = tmp_path / "target" / "manifest.json"
    manifest.parent.mkdir()
    manifest.write_text(json.dumps(MANIFEST))
    assert reads_of([config], manifest)["shop"].of_table == {"shop.orders": {"revenue"}}
    assert downstream(MANIFEST, "shop") == ([], [])
    assert downstream(MANIFEST, "shop", {config.place_of("orders")}) == (["revenue"], [])


def test_the_picture_leads_from_the_system_by_the_table_to_the_model(config):
    relations = {
        SOURCE: DbtRelation(SOURCE, "raw_shop", "ORDERS"),
        MODEL: DbtRelation(MODEL, "marts", "revenue", parents=(SOURCE,)),
    }
    boxes, edges = lineage([config], Models(relations, {"shop": (MODEL,)}), [config])
    assert [box.detail for box in boxes if box.name == "shop.orders"] == ["by another system"]
    assert edges == (("system:remote_job:airbyte_api", "shop.orders"), ("shop.orders", MODEL))
