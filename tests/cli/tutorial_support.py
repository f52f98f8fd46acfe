"""A page of docs as what it asks its reader to do: files to write, commands to run, and what they print."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_BLOCK = re.compile(r"^```(?P<kind>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_APPEND = "at the end of "
# what differs from run to run
_VARYING = (
    (re.compile(r"\d+\.\d s\b"), "0.0 s"),
    (re.compile(r"20\d\d-\d\d-\d\d \d\d:\d\d(?=  )"), "2026-01-01 00:00"),
)


@dataclass(frozen=True)
class File:
    """A file that the reader writes, or adds to."""

    path: str
    text: str
    is_added: bool


@dataclass(frozen=True)
class Command:
    """A command, and the lines that the page says it prints."""

    line: str
    printed: tuple[str, ...]


def steps(page: str) -> Iterator[File | Command]:
    """What a page asks for, from top to bottom."""
    for block in _BLOCK.finditer(page):
        if block["kind"] == "console":
            yield from _commands(block["body"])
        elif block["title"]:
            path = block["title"].removeprefix(_APPEND)
            yield File(path, block["body"], is_added=path != block["title"])


def _commands(body: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        line, *printed = part.splitlines()
        yield Command(line, tuple(printed))


def comparable(printed: str) -> list[str]:
    """The lines of an output that say something, without what differs from run to run."""
    for pattern, instead in _VARYING:
        printed = pattern.sub(instead, printed)
    return [" ".join(line.split()) for line in printed.splitlines() if line.strip(" ─")]
