"""What looks like a secret in a config is an error of it, whose message does not repeat it; what does not passes."""

from __future__ import annotations

import re

import pytest
from config_support import load_text, problems_of

from elt_factory.config.errors import ConfigError, Position, Problem
from elt_factory.config.loading import load_config
from elt_factory.config.models import secrets

CONFIG = """\
name: shop
extract: {{type: rest_api, connection: shop_api, headers: {headers}}}
tables:
  orders: {{path: "{path}", params: {params}}}
sensors: {{before_extract: [{{http: {{connection: shop_api, path: "{ready}"}}}}]}}
"""


def config(path: str = "/orders", params: str = "{}", headers: str = "{}", ready: str = "/") -> str:
    return CONFIG.format(path=path, params=params, headers=headers, ready=ready)


SECRETS = {
    "param by name": config(params="{api_key: hunter2hunter}"),
    "param in capitals": config(params="{apiKey: hunter2hunter}"),
    "param with a number": config(params='{"access-token": 12345}'),
    "param of a run": config(params='{token: "{{ params.hunter2hunter }}"}'),
    "param by value": config(params="{q: sk_live_hunter2hunter}"),
    "param named key": config(params="{key: hunter2hunter2hunter2}"),
    "query of the path": config(path="/orders?page=1&api_key=hunter2hunter"),
    "escaped name in the path": config(path="/orders?api%5Fkey=hunter2hunter"),
    "part of the path": config(path="/bot/xoxb-hunter2hunter/orders"),
    "header by name": config(headers="{X-Shop-Access-Token: hunter2hunter}"),
    "header by value": config(headers="{X-Thing: Bearer hunter2hunter}"),
    "query of a sensor's path": config(ready="/health?api_key=hunter2hunter"),
    "cookie": config(headers="{Cookie: hunter2hunter}"),
    "address with a password": config(params='{from: "postgresql://me:hunter2hunter@db/x"}'),
    "address with a password alone": config(params='{from: "redis://:hunter2hunter@db"}'),
}


FILES = """\
name: shop
extract:
  type: files
  folder: {folder}
  connection: shop
tables:
  orders:
    path: {path}
"""


@pytest.mark.parametrize(
    ("folder", "path", "line"),
    [
        ("https://h/x?token=hunter2", "x.csv", 4),
        ("abfs://c/x?sv=1&sig=hunter2", "x.csv", 4),
        ("ftp://h/x?sig=hunter2", "x.csv", 4),
        ("ftp://me:hunter2@h/x", "x.csv", 4),
        ("in?token=hunter2", "x.csv", 4),
        ("https://h/x", "x.csv?api_key=hunter2", 8),
        ("https://h/x", '["y.csv", "x.csv?a=b&X-Amz-Signature=hunter2"]', 8),
        ("in", "https://h/x.csv?sig=hunter2", 8),
    ],
)
def test_a_secret_in_a_place_of_files_is_one_error_that_does_not_repeat_it(tmp_path, folder, path, line):
    (problem,) = problems_of(tmp_path, FILES.format(folder=folder, path=path))
    assert (problem.code, problem.position.line) == ("secret", line)
    assert "hunter2" not in problem.render()


@pytest.mark.parametrize(
    ("folder", "path"),
    [
        ("https://h:8443/x", '"orders.zip/*.csv"'),
        ("https://h/x", '"x.csv?from={{ window.start | date }}&page_token=3"'),
        ("sftp://[::1]:22/in", "x.csv"),
        ("abfss://c@account.dfs.core.windows.net/x", "x.csv"),
        ("s3://shop/a#b", '"x#?.csv"'),
    ],
)
def test_a_place_of_files_without_a_secret_passes(tmp_path, folder, path):
    load_text(tmp_path, FILES.format(folder=folder, path=path))


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS)
def test_what_looks_like_a_secret_is_an_error_that_does_not_repeat_it(tmp_path, text):
    text = text.replace("{{ params.hunter2hunter }}", "{{ params.mine }}").replace(
        "name: shop", "name: shop\nparams: {mine: x}"
    )
    problems = problems_of(tmp_path, text)
    assert [problem.code for problem in problems] == ["secret"]
    assert "hunter2" not in "".join(problem.render() for problem in problems)
    assert problems[0].position.line in (3, 5, 6)


def test_a_secret_in_the_params_of_the_form_is_an_error_at_its_name(tmp_path):
    """The form shows them, and Airflow keeps them with the run."""
    (problem,) = problems_of(tmp_path, config().replace("name: shop", "name: shop\nparams: {api_key: hunter2hunter}"))
    assert (problem.code, problem.position.line, problem.position.column) == ("secret", 2, 10)
    assert "hunter2" not in problem.render()


@pytest.mark.parametrize(
    "text",
    [
        config(params='{since: "{{ window.start }}", token: "{{ window.end }}", limit: 100, sort_key: id}'),
        config(params="{page_token: x, key: id, next_token: y, monkey: z, keyword: password, author: jo}"),
        config(path="/orders/tokens?fields=id,token&key=name"),
        config(headers="{Accept: application/json, Idempotency-Key: abc, X-Tenant: acme, Authority: x}"),
        config(params='{auth: "", secret: false}'),
        config(params='{from: "https://h.example:8443/a@b", to: "postgresql://me@db/x"}'),
    ],
)
def test_what_is_no_secret_passes(tmp_path, text):
    assert load_text(tmp_path, text).config.name == "shop"


@pytest.mark.parametrize(
    "given",
    [
        {"connection_string": "Server=h;Password=hunter2"},
        {"storage": "DefaultEndpointsProtocol=https;AccountKey=hunter2"},
        {"pat": "hunter2"},
        {"hmacSecret": "hunter2"},
        {"hmac": "hunter2"},
        {"passcode": 123456},
        {"access_code": "hunter2"},
        {"session_cookie": "hunter2"},
        {"pw": "hunter2"},
        {"refresh": "hunter2"},
        {"url": "https://a.example/?code=hunter2"},
        {"custom_headers": [{"name": "Authorization", "value": "hunter2"}]},
        {"more": {"key": "X-Api-Key", "value": "hunter2"}},
        {"api_keys": ["hunter2"]},
        {"plain": "****"},
    ],
)
def test_a_setting_of_another_tool_is_held_back_even_in_doubt(given):
    assert secrets.may_hold_one("", given, re.compile(r"\*{4}"))


@pytest.mark.parametrize(
    "given",
    [
        {"primary_key": ["id"], "key_properties": ["id"], "replication_key": "at"},
        {"url": "https://a.example/?page=1", "country_code": "DE", "refresh_interval": "1h"},
        {"headers": [{"name": "Accept", "value": "text/csv"}], "passive": True, "count": 5, "token": ""},
    ],
)
def test_a_plain_setting_of_another_tool_is_not_held_back(given):
    assert not secrets.may_hold_one("", given, re.compile(r"\*{4}"))


@pytest.mark.parametrize(
    "line",
    [
        "password: hunter2",
        'password: "hunter2 and more"',
        "passwd: 'hunter2'",
        "token: hunter2  # for now",
        '"api_key": "hunter2"',
        "client_secret: hunter2",
        "dsn: postgresql://db/x?password=hunter2",
        "connection_string: hunter2",
        "headrs: {Authorization: Bearer hunter2, Accept: json}",
        "pth: /x?a=b&api_key=hunter2&c=d",
        "shared_access_key = hunter2",
        "password:hunter2",
        "password: hunter2: x",
        "password: ab#hunter2",
        "password: $hunter2",
        "password: 'it''s hunter2'",
        "password: {hunter2",
        "password: a &hunter2: x",
        "password: @hunter2",
        "password: %hunter2",
        "password: !hunter2 x",
        "pass: hunter2",
        "auth: hunter2",
        "params: {key: hunter2, x: {a: {b: 1}}}",
        "headers: {Authorization: [hunter2]}",
        "headers:\n    Authorization:\n      - hunter2",
        "headers:\n    Authorization:\n    - hunter2",
        "connection: https://u:p@hunter2@host/x",
        "connection: https://u:p/hunter2@host/x",
        "connection: https://hunter2@host/x",
    ],
)
def test_whatever_is_wrong_with_a_line_its_secret_is_not_shown(tmp_path, line):
    file = tmp_path / "shop.yaml"
    file.write_text(f"name: shop\nextract:\n  type: rest_api\n  connection: shop\n  {line}\ntables: {{a: {{}}}}\n")
    with pytest.raises(ConfigError) as found:
        load_config(file, tmp_path)
    assert "hunter2" not in str(found.value)
    assert "***" in str(found.value)


@pytest.mark.parametrize(
    "line",
    [
        "cursor_pth: page_token",
        'tokn: "{{ connection.password }}"',
        "token_url: /oauth",
        "delta_token: next_marker",
        "records: {key: id}",
        "path: https://a.b/users/@me",
        "auth: bearer",
        'Authorization: "Bearer {{ connection.password }}"',
        "primary_key: id",
        "auth: {typ: basic}",
        "password: ${SHOP_PASSWORD}",
    ],
)
def test_a_line_without_a_secret_is_shown_as_it_is(tmp_path, line):
    file = tmp_path / "shop.yaml"
    file.write_text(f"{line}\n")
    problem = Problem(Position(file, 1, 1), "unknown-key", "unknown key")
    assert f"  | {line}\n" in problem.render() + "\n"
