"""The presets: each table of each one, read from a server that answers as its API documents, through the contract."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
from extract_support import reply, serving, spooled
from rest_support import request_of
from saas_apis import APIS, COUNT, DAY, at, busy_at_first

from elt_factory.config.loading import load_text
from elt_factory.core.failures import EltError, SourceUnavailableError
from elt_factory.core.window import Window
from elt_factory.extract.request import ReadRequest
from elt_factory.landing.attempt import Attempt
from elt_factory.landing.land import land
from elt_factory.landing.parents import keys_of_landings
from elt_factory.landing.places import LocalPlace
from elt_factory.landing.request import LandRequest
from elt_factory.landing.schema import KnownTable
from elt_factory.sources.presets import gallery
from elt_factory.sources.read import read
from elt_factory.sources.rest_api import http, jobs
from elt_factory.sources.rest_api.exchange import Patience

pytestmark = pytest.mark.duckdb
WINDOW = Window(DAY, DAY + timedelta(days=1))
LOGIN = {"login": "reader", "password": "s3cret"}
# of these the login is no user name
ALONE = {"hubspot", "stripe", "github", "slack", "notion"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "PATIENCE", Patience(tries=3, first_wait=0.01, longest_wait=0.02))
    monkeypatch.setattr(jobs.time, "sleep", lambda _: None)


@cache
def config_of(name: str) -> Any:
    """The preset, as quick as the server here, and with a token in place of a login on another host."""
    source = load_text(Path(f"{name}.yaml"), gallery.text_of(name), Path()).config
    here = {"auth": None} if getattr(source.extract.auth, "token_url", None) else {}
    return source.model_copy(update={"extract": source.extract.model_copy(update={"rate_limit": None, **here})})


@dataclass
class Landed:
    raw: list[dict[str, Any]]
    place: LocalPlace
    manifest: Any

    def rows(self, columns: str) -> list[tuple[str, ...]]:
        """Columns of the good rows as text."""
        files = [str(self.place.folder / file.path) for file in self.manifest.files]
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            shown = ", ".join(f'"{name}"::VARCHAR' for name in columns.split())
            found = connection.execute(f"SELECT {shown} FROM read_parquet(?)", [files]).fetchall()
            return sorted(found, key=lambda row: [*map(str, row)])


class Reading:
    """The tables of a preset, each read once and landed, its parents before it."""

    def __init__(self, name: str, server: Any, folder: Path) -> None:
        self.source, self.server, self.folder = config_of(name), server, folder
        self.login = {"password": "s3cret"} if name in ALONE else LOGIN
        self.landed: dict[str, Landed] = {}

    def table(self, table: str) -> Landed:
        if table not in self.landed:
            self.landed[table] = self._land(table)
        return self.landed[table]

    def _request(self, table: str) -> ReadRequest:
        # the lag is not what is tested here
        opened = self.server.connection(**self.login)
        return request_of(self.server, self.folder, self.source, table, connection=opened, window=WINDOW)

    def _land(self, table: str) -> Landed:
        spec = self.source.tables[table]
        request = self._request(table)
        if spec.parents:
            above = {parent: self.table(parent) for parent in spec.parents}
            landings = {parent: (one.place, one.manifest) for parent, one in above.items()}
            folder = self.folder / f"keys-{table}"
            folder.mkdir()
            keys = keys_of_landings(landings, spec.query_of_keys, spec.columns_of_parent, folder)
            request = replace(request, keys=keys.file)
        spool = read(request)
        raw = spooled(spool.files) if spool.format == "ndjson" else []
        place, work = LocalPlace(self.folder / "landing" / table), self.folder / f"contract-{table}"
        work.mkdir()
        known = KnownTable(self.source.name, table, spec, None)
        asked = LandRequest(known, WINDOW, "load-1", spool, place, work, lambda _: None, "", Attempt.begin())
        return Landed(raw, place, land(asked))


# what each table has to hold: columns, and the rows of the five records that the server has; a number stands for them
WHEN = [at(n).replace("T", " ").replace("Z", "+00") for n in range(COUNT)]
IDS = [(str(n),) for n in range(COUNT)]
TIMED = [(str(n), WHEN[n]) for n in range(COUNT)]
OF_FOUR = sorted((f"{above}{n}", str(above)) for above in range(4) for n in range(COUNT))
EXPECTED: dict[str, dict[str, tuple[str, list[tuple[str, ...]]]]] = {
    "salesforce": {
        **{
            table: ("Id SystemModstamp IsDeleted", [(f"00{n}", WHEN[n], str(n == 0).lower()) for n in range(COUNT)])
            for table in ("accounts", "contacts", "leads", "tasks", "events")
        },
        "opportunities": ("Id Amount CloseDate", [(f"00{n}", "10.50", "2024-03-09") for n in range(COUNT)]),
        "users": ("Id LastLoginDate", [(f"00{n}", WHEN[n]) for n in range(COUNT)]),
    },
    "hubspot": {
        "contacts": ("id updatedAt lifecycle_stage", [(str(n), WHEN[n], "lead") for n in range(COUNT)]),
        "companies": ("id updatedAt name", [(str(n), WHEN[n], f"c{n}") for n in range(COUNT)]),
        "deals": ("id amount close_date", [(str(n), "10.50", WHEN[n]) for n in range(COUNT)]),
        "tickets": ("id subject", [(str(n), f"s{n}") for n in range(COUNT)]),
        "owners": ("id", IDS),
        "deal_pipelines": ("id", IDS),
    },
    "stripe": {
        "charges": ("id created amount card_brand", [(f"x_{n}", WHEN[n], f"10{n}", "visa") for n in range(COUNT)]),
        **{
            table: ("id created", [(f"x_{n}", WHEN[n]) for n in range(COUNT)])
            for table in ("refunds", "invoices", "subscriptions", "customers", "products", "prices")
        },
        "balance_transactions": ("id available_on net", [(f"x_{n}", WHEN[n], f"10{n}") for n in range(COUNT)]),
        "payouts": ("id arrival_date", [(f"x_{n}", WHEN[n]) for n in range(COUNT)]),
        "events": ("id object_id object_type", [(f"x_{n}", f"ch_{n}", "charge") for n in range(COUNT)]),
    },
    "google_analytics": {
        "traffic": (
            "date source country sessions key_events",
            [("2024-03-05", f"sessionSource-{n}", f"country-{n}", str(n), f"4{n}.0") for n in range(COUNT)],
        ),
        "pages": ("date path engagement_seconds", [("2024-03-05", f"pagePath-{n}", f"2{n}.0") for n in range(COUNT)]),
        "events": ("date event event_count", [("2024-03-05", f"eventName-{n}", str(n)) for n in range(COUNT)]),
        "devices": ("date browser total_users", [("2024-03-05", f"browser-{n}", f"1{n}") for n in range(COUNT)]),
    },
    "github": {
        "repositories": ("id name", [(str(n), f"r{n}") for n in range(COUNT)]),
        "issues": ("id updated_at repository author", [(str(n), WHEN[n], "r0", "ann") for n in range(COUNT)]),
        "issue_comments": ("id repository", sorted((str(n + 100 * r), f"r{r}") for n in range(COUNT) for r in (0, 1))),
        "pull_requests": ("id base_ref", sorted((str(n + 100 * r), "main") for n in range(COUNT) for r in (0, 1))),
        "commits": ("repository sha committed_at message", [("r0", f"c{n}", WHEN[n], f"m{n}") for n in range(COUNT)]),
        "releases": ("id repository", sorted((str(n + 100 * r), f"r{r}") for n in range(COUNT) for r in (0, 1))),
    },
    "shopify": {
        "orders": (
            "id total_price updatedAt",
            [(f"gid://shopify/Thing/{n}", f"{n}.50", WHEN[n]) for n in range(COUNT)],
        ),
        "order_lines": (
            "id order_id unit_price",
            sorted(
                (f"gid://shopify/Thing/{above}/line/{n}", f"gid://shopify/Thing/{above}", f"{n}.50")
                for above in range(4)
                for n in range(COUNT)
            ),
        ),
        "customers": ("id amount_spent", [(f"gid://shopify/Thing/{n}", f"{n}.25") for n in range(COUNT)]),
        "products": ("id title", [(f"gid://shopify/Thing/{n}", f"t{n}") for n in range(COUNT)]),
    },
    "zendesk": {
        "tickets": ("id updated_at channel", [(str(n), WHEN[n], "email") for n in range(COUNT)]),
        "ticket_events": ("id created_at", TIMED),
        "users": ("id updated_at", TIMED),
        "organizations": ("id updated_at", TIMED),
        "satisfaction_ratings": ("id updated_at", TIMED),
        "groups": ("id", IDS),
    },
    "jira": {
        "issues": ("id updated project status", [(str(n), WHEN[n], "P", "Done") for n in range(COUNT)]),
        "worklogs": ("id issue_id", OF_FOUR),
        "comments": ("id issue_id", OF_FOUR),
        "projects": ("id", IDS),
        "users": ("accountId", [(f"a{n}",) for n in range(COUNT)]),
        "boards": ("id", IDS),
        "sprints": ("board_id id", sorted((str(b), str(n)) for b in (0, 2, 3, 4) for n in range(COUNT))),
    },
    "slack": {
        "channels": ("id created topic_text", [(f"C{n}", WHEN[n], f"t{n}") for n in range(COUNT)]),
        "users": ("id updated", [(f"U{n}", WHEN[n]) for n in range(COUNT)]),
        "messages": (
            "channel_id ts text",
            sorted(
                (f"C{c}", WHEN[n].replace("+", f".00021{n or ''}+"), f"hi {n}")
                for c in (0, 2, 3, 4)
                for n in range(COUNT)
            ),
        ),
        "replies": (
            "channel_id ts",
            sorted(
                (f"C{c}", "2024-03-05 20:30:00" + (f".00000{n}" if n else "") + "+00")
                for c in (0, 2, 3, 4)
                for n in range(COUNT)
            ),
        ),
    },
    "notion": {
        "pages": ("id last_edited_time parent_type", [(f"p{n}", WHEN[n], "workspace") for n in range(COUNT - 1)]),
        "data_sources": ("id created_time", [(f"p{n}", WHEN[n]) for n in range(COUNT)]),
        "blocks": ("id page_id", sorted((f"p{p}-p{n}", f"p{p}") for p in (0, 2, 3) for n in range(COUNT))),
        "users": ("id", [(f"p{n}",) for n in range(COUNT)]),
    },
}


def test_every_preset_has_a_server_and_every_table_its_rows():
    assert sorted(gallery.names()) == sorted(APIS) == sorted(EXPECTED)
    assert {name: sorted(config_of(name).tables) for name in APIS} == {
        name: sorted(tables) for name, tables in EXPECTED.items()
    }


@pytest.mark.parametrize("name", APIS)
def test_every_row_of_every_table_arrives_typed_and_without_what_is_personal(tmp_path, name):
    with serving(busy_at_first(APIS[name]())) as server:
        reading = Reading(name, server, tmp_path)
        for table, (columns, wanted) in EXPECTED[name].items():
            landed = reading.table(table)
            assert landed.rows(columns) == wanted, table
            assert landed.manifest.rows_rejected == 0, table
            _check_personal(landed, reading.source.tables[table], table)


def _check_personal(landed: Landed, spec: Any, table: str) -> None:
    """What is dropped was there and is gone; what is hashed has no value of the source."""
    arrived = {column.name for column in landed.manifest.columns}
    sent = {name for row in landed.raw for name in row}
    dropped = {name for name, column in spec.columns.items() if column.pii == "drop"}
    hashed = [name for name, column in spec.columns.items() if column.pii == "hash"]
    assert not dropped & arrived, table
    assert dropped <= sent, table
    if hashed:
        assert {len(value) for row in landed.rows(" ".join(hashed)) for value in row} == {64}, table
    shown = json.dumps(landed.rows(" ".join(arrived)))
    for personal in ("ann@example.com", "Ann Lee", "555-0100"):
        assert personal not in shown, table


@pytest.mark.parametrize("name", APIS)
def test_an_error_that_the_api_documents_fails_the_read_and_is_no_empty_table(tmp_path, name):
    api = APIS[name]
    table = next(table for table, spec in config_of(name).tables.items() if not spec.parents)
    token = reply({"access_token": "t-2"})
    with serving(lambda asked: token if "oauth2" in asked.path else api.error) as server, pytest.raises(EltError):
        Reading(name, server, tmp_path).table(table)


def test_a_limit_of_a_day_gives_the_try_back_and_does_not_fail_for_good(tmp_path):
    api, token = APIS["salesforce"], reply({"access_token": "t-2"})
    with (
        serving(lambda asked: token if "oauth2" in asked.path else api.refusal) as server,
        pytest.raises(SourceUnavailableError),
    ):
        Reading("salesforce", server, tmp_path).table("accounts")
