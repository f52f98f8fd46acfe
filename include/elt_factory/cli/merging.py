"""What files of an existing project get from `elt init --into`: what they lack, and nothing of theirs is changed."""

from __future__ import annotations

from typing import Any

import yaml

_SETTINGS = "airflow_settings.yaml"
_DOCKERFILE = "Dockerfile"
_LISTS = ("requirements.txt", ".gitignore", ".env")
_NAME_ENDS = "[<>=~! "


def merged(name: str, there: str, wanted: str) -> str:
    """Return the text of a file that is there already.

    Lists get the lines they lack. What `astro dev init` leaves for others to fill is filled: a Dockerfile of one line,
    Airflow settings without a value. Everything else stays as it is.
    """
    if name in _LISTS:
        return there + _missing_lines(there, wanted)
    if name == _DOCKERFILE and _is_one_line(there):
        return there.rstrip("\n") + "\n" + wanted.partition("\n")[2]
    if name == _SETTINGS and _is_blank(_read(there)):
        return wanted
    return there


def _missing_lines(there: str, wanted: str) -> str:
    """Return the lines to append: what is there with another version or value, and comments, are left out."""
    known = {_bare(line) for line in there.splitlines()}
    missing = [line for line in wanted.splitlines() if line and _bare(line) not in known and not line.startswith("#")]
    start = "" if not there or there.endswith("\n") else "\n"
    return start + "\n".join(missing) + "\n" if missing else ""


def _bare(line: str) -> str:
    for sign in _NAME_ENDS:
        line = line.split(sign, 1)[0]
    return line.strip()


def _is_one_line(dockerfile: str) -> bool:
    lines = [line for line in dockerfile.splitlines() if line.strip() and not line.startswith("#")]
    return len(lines) == 1 and lines[0].startswith("FROM ") and "/runtime:" in lines[0]


def _read(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _is_blank(value: Any) -> bool:
    """Whether a settings file says nothing: keys alone."""
    if isinstance(value, dict):
        return all(map(_is_blank, value.values()))
    return all(map(_is_blank, value)) if isinstance(value, list) else value in (None, "")
