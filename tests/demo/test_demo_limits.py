import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from demo.errors import DemoError
from demo.limits import FailureSchedule, Settings, TokenBucket, settings_from_env
from demo.process import running

KEY = {"X-API-Key": "nyc-flights-demo"}


def client_of(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, params={"limit": 1}, trust_env=False)


@pytest.mark.services
def test_every_third_authorised_request_is_503_and_keyless_ones_do_not_count(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    env = {"DEMO_FAIL_EVERY": "3", "DEMO_API_KEY": ""}
    with running(tmp_path, free_port(), env=env) as url, client_of(url) as client:
        statuses = []
        for _ in range(7):
            assert client.get("/v1/flights").status_code == 401
            assert client.get("/health").status_code == 200
            statuses.append(client.get("/v1/flights", headers=KEY).status_code)

    assert statuses == [200, 200, 503, 200, 200, 503, 200]


@pytest.mark.services
def test_a_client_past_its_burst_is_429_until_retry_after_has_passed(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    env = {"DEMO_RATE_PER_MINUTE": "40", "DEMO_BURST": "3", "DEMO_FAIL_EVERY": "0"}
    with running(tmp_path, free_port(), env=env) as url, client_of(url) as client:
        statuses = [client.get("/v1/flights", headers=KEY).status_code for _ in range(3)]
        refused = client.get("/v1/flights", headers=KEY)
        health = client.get("/health").status_code
        time.sleep(int(refused.headers["Retry-After"]))
        after = client.get("/v1/flights", headers=KEY).status_code

    assert statuses == [200, 200, 200]
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] in {"1", "2"}
    assert "too fast" in refused.json()["detail"]
    assert (health, after) == (200, 200)


def test_a_bucket_gives_its_burst_then_its_rate_and_never_saves_more_than_its_burst() -> None:
    now = 0.0
    bucket = TokenBucket(per_second=2.0, burst=3, clock=lambda: now)

    assert [bucket.take() for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    now = 0.5
    assert [bucket.take(), bucket.take()] == [0.0, 0.5]
    now = 1000.0
    assert [bucket.take() for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


def test_a_schedule_of_zero_never_fails() -> None:
    never = FailureSchedule(0)

    assert not any(never.fails_now() for _ in range(50))


def test_settings_default_to_600_a_minute_a_burst_of_60_and_a_failure_in_11() -> None:
    assert settings_from_env({}) == Settings("nyc-flights-demo", 600, 60, 11)


@pytest.mark.parametrize(
    ("name", "value"),
    [("DEMO_BURST", "0"), ("DEMO_RATE_PER_MINUTE", "fast"), ("DEMO_FAIL_EVERY", "-1")],
)
def test_a_setting_that_is_not_a_number_in_range_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(DemoError, match=f"{name} is '{value}': set it to a whole number"):
        settings_from_env({name: value})
