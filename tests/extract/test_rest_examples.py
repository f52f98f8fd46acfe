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


def stripe(asked):
    first = int(asked.params.get("starting_after", -1)) + 1
    assert int(asked.params["created[gte]"]) == DAY.start.timestamp()
    rows = [{"id": n, "payment_method_details": {"card": {"brand": "visa"}}} for n in range(first, min(5, first + 2))]
    return reply({"object": "list", "data": rows, "has_more": first + 2 < 5})


def github(asked):
    page = int(asked.params.get("page", 0))
    link = {"Link": f'<{asked.path}?page={page + 1}>; rel="next"'} if page < 2 else {}
    return reply(paged(page), **link)


def jira(asked):
    assert asked.params["jql"].startswith('updated >= "2024/03/05 01:00" and updated < "2024/03/06 01:00"')
    page = int(asked.params.get("nextPageToken", 0))
    more = {"nextPageToken": str(page + 1), "isLast": False} if page < 2 else {"isLast": True}
    return reply({"issues": paged(page), **more})


def zendesk(asked):
    at = int(asked.params.get("cursor", 0))
    return reply({"tickets": paged(at), "after_cursor": str(min(3, at + 1)), "end_of_stream": at >= 2})


def shopify(asked):
    assert asked.headers["X-Shopify-Access-Token"] == "s3cret"
    page = int(asked.params.get("page_info", 0))
    link = {"Link": f'<{asked.path}?page_info={page + 1}>; rel="next"'} if page < 2 else {}
    return reply({"orders": paged(page)}, **link)


def hubspot(asked):
    filters = asked.json["filterGroups"][0]["filters"][0]
    assert int(filters["highValue"]) - int(filters["value"]) == 6 * 3600 * 1000
    if int(filters["value"]) != DAY.start.timestamp() * 1000:
        return reply({"total": 0, "results": []})
    page = int(asked.json.get("after", 0))
    more = {"paging": {"next": {"after": str(page + 1)}}} if page < 2 else {}
    return reply({"total": 5, "results": paged(page), **more})


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
    "stripe": (stripe, "charges"),
    "github": (github, "issues"),
    "jira": (jira, "issues"),
    "zendesk": (zendesk, "tickets"),
    "shopify": (shopify, "orders"),
    "hubspot": (hubspot, "contacts"),
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
    # github's are asked for each of three repositories
    assert found == sorted([0, 1, 2, 3, 4] * (3 if name == "github" else 1))
    assert spool.rows_read == len(found)


def _here(source) -> dict:
    """No credentials from a login server that is not here."""
    return {"auth": None} if getattr(source.extract.auth, "token_url", None) else {}
