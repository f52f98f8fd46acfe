"""Requests that write to Airflow's SQLite take turns: Airflow's own server, asked by many in the same moment."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from elt_factory.ui.turns import WritersTakeTurns

CLIENTS, EACH = 10, 5
WRITES = "/api/v2/variables"


@pytest.fixture(scope="module")
def airflow_app(airflow_db: Path) -> FastAPI:
    """Airflow's own API with its plugins, as the server has it."""
    from airflow.api_fastapi.app import create_app

    return create_app(apps="core")


@pytest.fixture
def admin(airflow_app: FastAPI) -> Iterator[dict[str, str]]:
    """The headers of a user who may do all; the variables are gone afterwards."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.models import Variable
    from airflow.utils.session import create_session

    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="admin", role="admin"))
    yield {"Authorization": f"Bearer {token}"}
    with create_session() as session:
        session.query(Variable).delete()


def test_many_who_write_in_the_same_moment_are_all_answered(airflow_app: FastAPI, admin: dict[str, str]):
    async def writes(client: httpx.AsyncClient, number: int) -> list[int]:
        made = [{"key": f"made_{number}_{each}", "value": "1"} for each in range(EACH)]
        return [(await client.post(WRITES, json=variable, headers=admin)).status_code for variable in made]

    async def all_write() -> list[list[int]]:
        transport = httpx.ASGITransport(airflow_app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://airflow", timeout=300) as client:
            return await asyncio.gather(*(writes(client, number) for number in range(CLIENTS)))

    assert asyncio.run(all_write()) == [[201] * EACH] * CLIENTS


class Held:
    """An application that answers only when it is let; it knows whom it has been asked by."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.bodies: list[bytes] = []
        self.let = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.inside.append(f"{scope['method']} {scope['path']}")
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message.get("more_body"):
                break
        self.bodies.append(body)
        await self.let.wait()


async def pieces(*parts: bytes, then: asyncio.Event | None = None):
    for number, part in enumerate(parts):
        if number and then:
            await then.wait()
        yield {"type": "http.request", "body": part, "more_body": number < len(parts) - 1}


def asked(
    app: WritersTakeTurns, method: str, path: str, parts: Any = None, *, base: str = "", send: Any = None
) -> asyncio.Task[None]:
    scope = {"type": "http", "method": method, "path": path, "root_path": base}
    return asyncio.ensure_future(app(scope, (parts or pieces(b"{}")).__anext__, send))


def inside_together(*requests: tuple[str, str], base: str = "") -> list[str]:
    """Which of some requests are answered while none has ended."""

    async def asks() -> list[str]:
        held = Held()
        app = WritersTakeTurns(held)
        tasks = [asked(app, method, path, base=base) for method, path in requests]
        await settled()
        inside = list(held.inside)
        held.let.set()
        await asyncio.gather(*tasks)
        return inside

    return asyncio.run(asks())


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_only_writers_wait_for_each_other():
    async def asks() -> tuple[list[str], list[str]]:
        held = Held()
        app = WritersTakeTurns(held)
        tasks = [
            asked(app, method, path)
            for method, path in (
                ("POST", WRITES),
                ("PATCH", "/execution/task-instances/1/run"),
                ("GET", WRITES),
                ("POST", "/elt/api/v1/drafts/sample"),
            )
        ]
        await settled()
        first = list(held.inside)
        held.let.set()
        await asyncio.gather(*tasks)
        return first, held.inside

    first, all_of_them = asyncio.run(asks())
    assert first == [f"POST {WRITES}", f"GET {WRITES}", "POST /elt/api/v1/drafts/sample"]
    assert all_of_them[len(first) :] == ["PATCH /execution/task-instances/1/run"]


@pytest.mark.parametrize("base", ["/airflow", "/airflow/", "/api/v2", ""])
def test_what_is_airflows_own_is_told_by_what_follows_its_base_path(base: str):
    below = base.rstrip("/")
    waits = ("PATCH", f"{below}/execution/task-instances/1/run")
    # a part of the path of another plugin may have the name of one of Airflow's
    free = ("POST", f"{below}/elt/ui/api/v2/drafts")
    assert inside_together(("POST", f"{below}{WRITES}"), waits, free, base=base) == [
        f"POST {below}{WRITES}",
        " ".join(free),
    ]


def test_a_proxy_that_has_removed_the_base_path_changes_nothing():
    assert inside_together(("POST", WRITES), ("POST", WRITES), base="/airflow") == [f"POST {WRITES}"]


def test_a_read_by_post_takes_no_turn_and_one_that_airflow_logs_does(airflow_app: FastAPI):
    lists = [route for route in airflow_app.routes if getattr(route, "path", "").endswith("/list")]
    logged = {route.path: "log_action" in str([d.call for d in route.dependant.dependencies]) for route in lists}
    assert set(logged.values()) == {True, False}
    for path, waits in logged.items():
        assert inside_together(("POST", WRITES), ("POST", path)) == [
            f"POST {WRITES}",
            *([] if waits else [f"POST {path}"]),
        ]


def test_a_client_that_reads_slowly_has_no_turn_while_it_reads():
    async def asks() -> tuple[list[str], list[str]]:
        sent: list[str] = []
        may_read = asyncio.Event()

        async def slow(message: Any) -> None:
            await may_read.wait()
            sent.append(f"slow {message['type']}")

        async def quick(message: Any) -> None:
            sent.append(f"quick {message['type']}")

        app = WritersTakeTurns(answers)
        reading = asked(app, "POST", WRITES, send=slow)
        await settled()
        other = asked(app, "POST", WRITES, send=quick)
        await settled()
        before = list(sent)
        may_read.set()
        await asyncio.gather(reading, other)
        return before, sent[len(before) :]

    parts = ["http.response.start", "http.response.body"]
    assert asyncio.run(asks()) == ([f"quick {one}" for one in parts], [f"slow {one}" for one in parts])


async def answers(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


def test_an_answer_whose_end_fails_is_not_sent_as_if_all_were_well():
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        await answers(scope, receive, send)
        raise OSError("database is locked")

    async def asks() -> list[Any]:
        sent: list[Any] = []

        async def noted(message: Any) -> None:
            sent.append(message)

        app = WritersTakeTurns(fails)
        with pytest.raises(OSError, match="locked"):
            await asked(app, "POST", WRITES, send=noted)
        with pytest.raises(OSError, match="locked"):  # the turn has ended with it
            await asked(app, "POST", WRITES, send=noted)
        return sent

    assert asyncio.run(asks()) == []


def test_a_request_that_comes_slowly_has_no_turn_before_it_is_there():
    async def asks() -> tuple[list[bytes], list[bytes]]:
        held = Held()
        held.let.set()
        app, rest = WritersTakeTurns(held), asyncio.Event()
        slow = asked(app, "POST", WRITES, pieces(b"1", b"2", then=rest))
        await settled()
        await asked(app, "POST", WRITES, pieces(b"quick"))
        before = list(held.bodies)
        rest.set()
        await slow
        return before, held.bodies

    before, after = asyncio.run(asks())
    assert (before, after) == ([b"quick"], [b"quick", b"12"])


def test_other_databases_need_no_turns(monkeypatch: pytest.MonkeyPatch):
    from airflow import settings

    monkeypatch.setattr(settings, "SQL_ALCHEMY_CONN", "postgresql://airflow@127.0.0.1/airflow")

    assert inside_together(("POST", WRITES), ("POST", WRITES)) == [f"POST {WRITES}"] * 2
