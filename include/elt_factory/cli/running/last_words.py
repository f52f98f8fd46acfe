"""What a log says last that tells why its writer ended."""

from __future__ import annotations

import re
from pathlib import Path

_TAIL = 20_000
_SHOWN = 300
# what Airflow and Python write around a message, from the most telling to the least
_TELLING = (
    re.compile(r"address already in use|No space left on device|disk is full", re.IGNORECASE),
    re.compile(r"^\s*(?:[\w.]+\.)?\w*(?:Error|Exception|Exit)\b: "),
    re.compile(r"\berror\b", re.IGNORECASE),
)
_MODULES = re.compile(r"^(?:\w+\.)+(?=\w+: )")
_LOGGED = re.compile(r"^\d{4}-\S+ \[\w+\s*\] (.*?)\s*(?:\[[\w.]+\] loc=.*)?$")
_COLORS = re.compile(r"\x1b\[[0-9;]*m")


def last_words(log: Path, start: int = 0) -> str:
    """Return the line of a log, from a byte on, that says most about its end, or nothing, without terminal colors."""
    try:
        with log.open("rb") as file:
            file.seek(max(start, log.stat().st_size - _TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [_LOGGED.sub(r"\1", line.strip()) for line in _COLORS.sub("", text).splitlines() if line.strip()]
    for pattern in _TELLING:
        if found := next((line for line in reversed(lines) if pattern.search(line)), ""):
            return _MODULES.sub("", found)[:_SHOWN]
    return lines[-1][:_SHOWN] if lines else ""
