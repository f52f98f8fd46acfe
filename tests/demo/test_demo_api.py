import base64
from datetime import datetime
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.services

FIRST_WEEK = {"since": "2013-01-01T05:00:00Z", "until": "2013-01-08T05:00:00Z"}


def read_pages(api: httpx.Client, **params: Any) -> list[list[dict[str, Any]]]:
    pages: list[list[dict[str, Any]]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = api.get("/v1/flights", params={**params, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        pages.append(page["results"])
        if page["next"] is None:
            return pages
        cursor = {"cursor": page["next"]}


def records_of(pages: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [record for page in pages for record in page]


def test_health_needs_no_key(api: httpx.Client) -> None:
    answer = httpx.get(f"{api.base_url}/health", trust_env=False)

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({}, "no API key"),
        ({"X-API-Key": "wrong"}, "wrong API key"),
        ({"X-API-Key": b"\xe9"}, "wrong API key"),
    ],
)
def test_a_missing_or_wrong_key_is_401_with_a_reason(api: httpx.Client, headers: Any, says: str) -> None:
    answer = httpx.get(f"{api.base_url}/v1/flights", headers=headers, trust_env=False)

    assert answer.status_code == 401
    assert says in answer.json()["detail"]


def test_the_first_local_week_has_6099_records_in_pages_without_gaps_or_repeats(api: httpx.Client) -> None:
    pages = read_pages(api, **FIRST_WEEK, limit=700)
    records = records_of(pages)
    order = [(record["updated_at"], record["flight_id"]) for record in records]

    assert [len(page) for page in pages] == [700] * 8 + [499]
    assert len({record["flight_id"] for record in records}) == 6099
    assert order == sorted(order)
    assert {(record["month"], record["day"]) for record in records} == {(1, day) for day in range(1, 8)}


def test_the_year_has_336776_records_with_unique_ids(api: httpx.Client) -> None:
    records = records_of(read_pages(api, limit=5000))

    assert len(records) == len({record["flight_id"] for record in records}) == 336_776


def test_a_record_has_the_datasets_values_its_id_and_its_publishing_instant(api: httpx.Client) -> None:
    [first] = api.get("/v1/flights", params={"limit": 1}).json()["results"]

    assert first == {
        "flight_id": "UA1545-20130101T1015Z",
        "year": 2013,
        "month": 1,
        "day": 1,
        "dep_time": 517,
        "sched_dep_time": 515,
        "dep_delay": 2,
        "arr_time": 830,
        "sched_arr_time": 819,
        "arr_delay": 11,
        "carrier": "UA",
        "flight": 1545,
        "tail_number": "N14228",
        "origin": "EWR",
        "dest": "IAH",
        "air_time": 227,
        "distance": 1400,
        "hour": 5,
        "minute": 15,
        "time_hour": "2013-01-01T10:00:00Z",
        "updated_at": "2013-01-01T10:15:00Z",
    }


def test_a_cancelled_flight_has_nulls_not_na(api: httpx.Client) -> None:
    records = records_of(read_pages(api, **FIRST_WEEK, limit=5000))
    cancelled = [record for record in records if record["dep_time"] is None]

    assert cancelled
    assert all(record["air_time"] is None and record["arr_delay"] is None for record in cancelled)
    assert not any("NA" in record.values() for record in records)


def test_a_window_holds_its_start_and_not_its_end(api: httpx.Client) -> None:
    at, later = "2013-01-01T10:15:00Z", "2013-01-01T10:29:00Z"

    [only] = records_of(read_pages(api, since=at, until=later))

    assert only["updated_at"] == at


@pytest.mark.parametrize(
    ("since", "first"),
    [
        ("2013-01-01T05:15:00-05:00", "2013-01-01T10:15:00Z"),
        ("2013-01-01T10:15:00+00:00", "2013-01-01T10:15:00Z"),
        ("2013-01-01T10:15:00.000001Z", "2013-01-01T10:29:00Z"),
        ("0001-01-01T00:00:00Z", "2013-01-01T10:15:00Z"),
    ],
)
def test_since_may_have_any_offset_and_a_fraction(api: httpx.Client, since: str, first: str) -> None:
    [record] = api.get("/v1/flights", params={"since": since, "limit": 1}).json()["results"]

    assert record["updated_at"] == first


def test_two_adjoining_windows_share_nothing_and_miss_nothing(api: httpx.Client) -> None:
    middle = "2013-01-04T12:00:30Z"
    before = records_of(read_pages(api, since=FIRST_WEEK["since"], until=middle, limit=5000))
    after = records_of(read_pages(api, since=middle, until=FIRST_WEEK["until"], limit=5000))

    assert len(before) + len(after) == 6099
    assert before[-1]["updated_at"] < after[0]["updated_at"]


def test_a_page_that_ends_with_its_window_has_no_next(api: httpx.Client) -> None:
    assert [len(page) for page in read_pages(api, **FIRST_WEEK, limit=2033)] == [2033] * 3


def test_a_window_without_flights_is_an_empty_page(api: httpx.Client) -> None:
    answer = api.get("/v1/flights", params={"since": "2015-01-01T00:00:00Z"})

    assert answer.json() == {"results": [], "next": None}


def test_a_cursor_alone_stays_inside_the_window_it_came_from(api: httpx.Client) -> None:
    page = api.get("/v1/flights", params={**FIRST_WEEK, "limit": 5000}).json()
    rest = api.get("/v1/flights", params={"cursor": page["next"], "limit": 5000}).json()

    assert len(rest["results"]) == 1099
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"since": "yesterday"}, "since is not an ISO instant"),
        ({"until": "2013-01-08"}, "until has no offset"),
        ({"until": "9999-12-31T23:59:59-10:00"}, "until is not an ISO instant"),
        ({"since": "2013-02-01T00:00:00Z", "until": "2013-01-01T00:00:00Z"}, "later than until"),
        ({"cursor": "made-up"}, "cursor is not one this API gave"),
        ({"cursor": base64.urlsafe_b64encode(b"\xff").decode()}, "cursor is not one this API gave"),
        ({"limit": 5001}, "limit"),
        ({"limit": 0}, "limit"),
        ({"limit": "many"}, "limit"),
    ],
)
def test_a_bad_parameter_is_422_and_named_in_one_line(api: httpx.Client, params: Any, says: str) -> None:
    answer = api.get("/v1/flights", params=params)

    assert answer.status_code == 422
    assert says in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]


def test_time_hour_is_the_hour_of_the_publishing_instant(api: httpx.Client) -> None:
    for record in records_of(read_pages(api, **FIRST_WEEK, limit=5000)):
        hour = datetime.fromisoformat(record["time_hour"])
        assert datetime.fromisoformat(record["updated_at"]) == hour.replace(minute=record["minute"])
