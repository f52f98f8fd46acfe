"""The configs in `examples/configs`, read from servers that answer as the APIs do that they are for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from extract_support import Reply, reply, serving, spooled
from rest_support import request_of

from elt_factory.config.loading import load_folder
from elt_factory.core.window import Window
from elt_factory.sources.read import read

FOLDER = Path(__file__).parents[2] / "examples" / "configs"
CONFIGS = {item.config.name: item.config for item in load_folder(FOLDER).configs}
DAY = Window(datetime(2024, 3, 5, tzinfo=UTC), datetime(2024, 3, 6, tzinfo=UTC))
LOGIN = {"login": "reader", "password": "s3cret"}


def paged(number: int, size: int = 2, count: int = 5) -> list[dict]:
    return [{"id": n, "updated": "x"} for n in range(number * size, min(count, (number + 1) * size))]


def airtable(asked):
    page = int(asked.params.get("offset", 0))
    return reply({"records": paged(page), **({"offset": str(page + 1)} if page < 2 else {})})


def wordpress(asked):
    page = int(asked.params["page"]) - 1
    return reply(paged(page)) if page < 3 else reply({"code": "rest_post_invalid_page_number"}, 400)


def odata(asked):
    page = int(asked.params.get("skip", 0))
    more = (
        {"@odata.nextLink": f"{asked.path}?skip={page + 1}"} if page < 2 else {"@odata.deltaLink": "/users/delta?t=1"}
    )
    return reply({"value": paged(page), **more})


def spring(asked):
    if asked.path == "/api/auth/login":
        return reply({"token": "t-1"})
    assert asked.headers["Authorization"] == "Bearer t-1"
    return reply({"content": paged(int(asked.params["page"])), "totalPages": 3, "totalElements": 5})


def graphql(asked):
    page = int(asked.json["variables"].get("after", 0))
    assert asked.json["variables"]["since"] == "2024-03-05T00:00:00Z"
    info = {"endCursor": str(page + 1), "hasNextPage": page < 2}
    return reply({"data": {"issues": {"nodes": paged(page), "pageInfo": info}}})


def soap(asked):
    assert b"<On>2024-03-05</On>" in asked.body
    rates = "".join(f"<Rate><id>{n}</id></Rate>" for n in range(5))
    inner = f'<GetRatesResponse xmlns="http://rates.example.com/"><Rates>{rates}</Rates></GetRatesResponse>'
    space = "http://schemas.xmlsoap.org/soap/envelope/"
    return Reply(f'<s:Envelope xmlns:s="{space}"><s:Body>{inner}</s:Body></s:Envelope>'.encode())


TABLES = {
    "airtable": (airtable, "tasks"),
    "wordpress": (wordpress, "posts"),
    "odata": (odata, "users"),
    "spring": (spring, "orders"),
    "graphql": (graphql, "issues"),
    "soap": (soap, "rates"),
}


@pytest.mark.parametrize("name", TABLES)
def test_an_example_reads_all_records_of_an_api_like_its_own(tmp_path, name):
    answer, table = TABLES[name]
    source = CONFIGS[name]
    quick = source.extract.model_copy(update={"rate_limit": None, **_here(source)})
    with serving(answer) as server:
        spool = read(
            request_of(
                server,
                tmp_path,
                source.model_copy(update={"extract": quick}),
                table,
                connection=server.connection(**LOGIN),
                window=DAY,
            )
        )
    found = sorted(int(record["id"]) for record in spooled(spool.files))
    assert found == [0, 1, 2, 3, 4]
    assert spool.rows_read == len(found)


def _here(source) -> dict:
    """No credentials from a login server that is not here."""
    return {"auth": None} if getattr(source.extract.auth, "token_url", None) else {}
