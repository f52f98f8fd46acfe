"""What makes the API behave like a real one: a rate limit, and a failure now and then."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from demo.errors import DemoError


@dataclass(frozen=True, slots=True)
class Settings:
    """How the API treats its clients."""

    api_key: str = "nyc-flights-demo"
    rate_per_minute: int = 600
    burst: int = 60
    fail_every: int = 11


def settings_from_env(env: Mapping[str, str] = os.environ) -> Settings:
    """Read DEMO_API_KEY, DEMO_RATE_PER_MINUTE, DEMO_BURST and DEMO_FAIL_EVERY (0: never fail).

    Raises DemoError when a number is not a whole number, or too small.
    """
    default = Settings()
    return Settings(
        api_key=env.get("DEMO_API_KEY") or default.api_key,
        rate_per_minute=_whole(env, "DEMO_RATE_PER_MINUTE", default.rate_per_minute, at_least=1),
        burst=_whole(env, "DEMO_BURST", default.burst, at_least=1),
        fail_every=_whole(env, "DEMO_FAIL_EVERY", default.fail_every, at_least=0),
    )


def _whole(env: Mapping[str, str], name: str, default: int, *, at_least: int) -> int:
    text = env.get(name) or str(default)
    if not text.isdecimal() or int(text) < at_least:
        raise DemoError(f"{name} is {text!r}: set it to a whole number of at least {at_least}")
    return int(text)


@dataclass(slots=True)
class TokenBucket:
    """Admits `burst` requests at the same time and `per_second` from then on."""

    per_second: float
    burst: int
    clock: Callable[[], float] = time.monotonic
    _tokens: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._tokens = float(self.burst)
        self._at = self.clock()

    def take(self) -> float:
        """Take a token: return 0.0, or, when there is none, the seconds until there is one."""
        now = self.clock()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.per_second)
        self._at = now
        if self._tokens < 1:
            return (1 - self._tokens) / self.per_second
        self._tokens -= 1
        return 0.0


@dataclass(slots=True)
class FailureSchedule:
    """Fails every `every`th request that asks; never when `every` is 0."""

    every: int
    _seen: int = field(default=0, init=False)

    def fails_now(self) -> bool:
        """Count one request and return whether it is to fail."""
        self._seen += 1
        return self.every > 0 and self._seen % self.every == 0
