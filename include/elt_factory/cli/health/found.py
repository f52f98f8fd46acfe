"""What a check of `elt doctor` found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from elt_factory.core.failures import EltError, redact

_AGAIN = "fix this, then run elt doctor again"

Status = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Found:
    """One line of the doctor: what was looked at, how it is, what was found and, unless it is well, what to change."""

    what: str
    status: Status
    found: str
    hint: str = ""


Check = Callable[[], Iterable[Found]]


def found_by(what: str, check: Check) -> Iterator[Found]:
    """Yield what a check finds; one that fails is an error of its own, and the checks after it still run."""
    try:
        yield from check()
    except EltError as error:
        message, _, hint = str(error).partition("; ")
        yield Found(what, "error", message, hint.removeprefix("hint: ") or _AGAIN)
    except Exception as error:  # noqa: BLE001 - whatever is broken here is what the doctor is asked for
        text = redact(" ".join(str(error).split()))
        yield Found(what, "error", f"cannot be checked: {type(error).__name__}: {text}", _AGAIN)
