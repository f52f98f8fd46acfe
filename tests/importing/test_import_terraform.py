"""Terraform's files: what is computed is listed by name, and nothing that may be a secret is copied."""

import pytest

from elt_factory.importing.airbyte import connections
from elt_factory.importing.airbyte.found import connections_at
from elt_factory.importing.airbyte.hcl import blocks_in, names_only
from elt_factory.importing.airbyte.said import Computed
from elt_factory.importing.project import NotAProjectError
from elt_factory.importing.writing import yaml_text

SOURCE = """
resource "airbyte_source_github" "hub" {
  name          = "hub"
  configuration = { start_date = START }
}
resource "airbyte_connection" "hub" {
  name           = "hub"
  source_id      = airbyte_source_github.hub.source_id
  configurations = { streams = STREAMS }
}
"""
PLAIN = '[{ name = "a" }]'


def imported(path):
    said, states = connections_at(path)
    return connections.imported(said, states, lambda package, version: f"{package}=={version or '9.9'}")


def text_of(streams=PLAIN, start='"2024-01-01"', more=""):
    return SOURCE.replace("STREAMS", streams).replace("START", start) + more


def of(folder, *given, **more):
    (folder / "main.tf").write_text(text_of(*given, **more))
    (found,) = imported(folder)
    return found


LIST = 'locals {\n list = [{ name = "orders", mode = "incremental_append" }, { name = "people", mode = var.mode }]\n}\n'


def test_a_stream_that_is_computed_is_listed_by_its_name(tmp_path):
    streams = """[
      merge(local.usual, { name = "x" }),
      { name = var.name },
      { name = "b", sync_mode = var.mode },
      { name = "c", primary_key = [[var.key]] },
      { name = "d", selected = var.on },
      { name = "e" },
    ]"""
    found = of(tmp_path, streams)
    assert list(found.config["tables"]) == ["e"]
    assert found.left_out == {
        "stream 1": 'it is merge(local.usual, { name = "..." })',
        "stream 2": "its name is var.name",
        "b": "its sync_mode is var.mode",
        "c": "its primary_key is var.key",
        "d": "its selected is var.on",
    }


@pytest.mark.parametrize("name", ["s.name", 's["name"]', '"${s.name}"'])
def test_an_attribute_of_what_is_gone_through_is_its_value(tmp_path, name):
    found = of(tmp_path, f"[for s in local.list : {{ name = {name}, sync_mode = s.mode }}]", more=LIST)
    assert list(found.config["tables"]) == ["orders"]
    assert found.left_out == {"people": "its sync_mode is var.mode"}
    found = of(tmp_path, "[for s in local.list : merge(s, { selected = true })]", more=LIST)
    assert list(found.left_out)[:2] == ["stream 1", "stream 2"]


def test_the_files_of_a_folder_are_one_module(tmp_path):
    for folder, start in (("dev", "2023-01-01"), ("prod", "2024-01-01")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "main.tf").write_text(text_of(start="local.start"))
        (tmp_path / folder / "locals.tf").write_text(f'locals {{\n start = "{start}"\n}}\n')
    dev, prod = imported(tmp_path)
    assert dev.config["extract"]["config"] == {"start_date": "2023-01-01"}
    assert prod.config["extract"]["config"] == {"start_date": "2024-01-01"}
    assert prod.config["name"] == "hub_2"


HANDED = """
module "sources" { source = "./sources" }
module "syncs" {
  source = "../syncs"
  hub_id = module.sources.hub
}
"""


@pytest.mark.parametrize(
    ("root", "connector"),
    [
        (HANDED, "airbyte-source-github"),
        # a source of the calling module itself
        (HANDED.replace("module.sources.hub", "airbyte_source_github.hub.source_id") + SOURCE, "airbyte-source-github"),
        # called twice, it is of two sources
        (HANDED + HANDED.replace('"syncs"', '"other"').replace('"sources"', '"more"'), None),
        (HANDED.replace("module.sources.hub", "module.sources.none"), None),
        # what leads to itself ends
        (HANDED.replace("module.sources.hub", "module.syncs.hub_id"), None),
    ],
)
def test_a_source_in_another_module_is_found_by_what_the_modules_hand_on(root, connector, tmp_path):
    source, connection = text_of().split('resource "airbyte_connection"')
    output = 'output "hub" { value = airbyte_source_github.hub.source_id }\n'
    looped = 'output "hub_id" { value = var.hub_id }\n'
    written = 'resource "airbyte_connection"' + connection.replace("airbyte_source_github.hub.source_id", "var.hub_id")
    root = root.replace(SOURCE, source)
    for name, text in (("root", root), ("root/sources", source + output), ("syncs", written + looped)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.tf").write_text(text)
    (found,) = imported(tmp_path)
    if connector is None:
        assert "which connector its source is" in found.left_out["hub"]
    else:
        assert found.config["extract"]["package"].startswith(connector)
        assert set(found.config["tables"]) == {"a"}


def test_a_file_that_is_not_terraforms_is_listed_where_others_have_connections(tmp_path):
    (tmp_path / "bad.tf").write_text("resource {\n")
    with pytest.raises(NotAProjectError, match="line 2"):
        imported(tmp_path)
    (tmp_path / "main.tf").write_text("\ufeff" + text_of())
    (found,) = imported(tmp_path)
    assert "not in Terraform's language: line 2" in found.left_out[f"hub: {tmp_path / 'bad.tf'}"]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("setup.py", "def (", "not Python: line 1"),
        ("package.json", "{", "not JSON"),
        ("source.yaml", "definition_type: connection\n\ta: [", "not YAML"),
    ],
)
def test_a_file_of_a_project_that_cannot_be_read_is_listed_and_hides_no_connection(name, text, why, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(NotAProjectError, match=why):
        imported(tmp_path)
    (tmp_path / "main.tf").write_text(text_of())
    (found,) = imported(tmp_path)
    assert found.left_out[f"hub: {tmp_path / name}"].startswith(why)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (r'"\u00e9\U0001F600\n\\"', "\u00e9\U0001f600\n\\"),
        (r'"\UFFFFFFFF"', r"\UFFFFFFFF"),
        ('"$${a}%%{b}"', "${a}%{b}"),
        ('"%{ if var.a == "x" }y%{ endif }"', Computed('"..."')),
        ("<<EOT\nEOT", ""),
        ("<<-EOT\n  a\n\n  EOT", "  a\n"),
        ("<<EOT\r\na\r\nEOT", "a\r"),
        ("<<EOT\n%{ if var.a }a%{ endif }\nEOT", Computed("a document that Terraform computes")),
        ('"${coalesce(var.t, "hunter2")}"', Computed('coalesce(var.t, "...")')),
        ('sensitive("hunter2")', Computed('sensitive("...")')),
    ],
)
def test_texts_are_read_as_terraform_reads_them(written, value):
    (block,) = blocks_in(f"a {{\n x = {written}\n}}\n")
    assert block.body == {"x": value}


def test_blocks_of_one_kind_within_another_are_a_list(tmp_path):
    (block,) = blocks_in("a {\n one {\n x = 1\n }\n two {\n y = 1\n }\n two {\n y = 2\n }\n two {\n y = 3\n }\n}\n")
    assert block.body == {"one": {"x": 1}, "two": [{"y": 1}, {"y": 2}, {"y": 3}]}


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ('coalesce(var.t, "hunter2")', 'coalesce(var.t, "...")'),
        ('"${coalesce(var.t, "hunter2")}"', '"...${coalesce(var.t, "...")}..."'),
        ('"https://me:hunter2@${var.host}/x"', '"...${var.host}..."'),
        ('var.a ? "hunter2" : 123456', 'var.a ? "..." : ...'),
        ("f(<<EOT\nhunter2\nEOT\n, local.a)", 'f("..." , local.a)'),
        ("f(1 /* hunter2 */)", "f(...)"),
        ("`", "what Terraform computes"),
    ],
)
def test_of_what_is_computed_only_names_are_shown(written, shown):
    assert names_only(written) == shown


def test_a_default_of_a_variable_is_in_no_config(tmp_path):
    found = of(tmp_path, start='coalesce(var.t, "hunter2")')
    assert found.held == {"extra.start_date": 'the value of coalesce(var.t, "...")'}
    (tmp_path / "main.tf").unlink()
    (tmp_path / "load.py").write_text(
        "import airbyte as ab, os, base64\nab.get_source('source-github', streams=['a'], config={"
        "'a': os.getenv('A') or 'hunter2', 'b': os.environ.get('B', 'hunter2'), 'c': base64.b64encode(b'me:hunter2')})"
    )
    (found,) = imported(tmp_path)
    assert set(found.held) == {"extra.a", "extra.b", "extra.c"}
    assert "hunter2" not in yaml_text(found.config, found.remarks)
