"""What looks like a secret in a config is an error of it, whose message does not repeat it; what does not passes."""

from __future__ import annotations

import pytest
from config_support import load_text, problems_of

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
}


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
    ],
)
def test_what_is_no_secret_passes(tmp_path, text):
    assert load_text(tmp_path, text).config.name == "shop"
