"""What pyproject.toml and the settings say, in the files of this repository that repeat it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from elt_factory.cli.celery_settings import CELERY_ADDRESSES, CELERY_SETTINGS
from elt_factory.cli.local import AIRFLOW_SETTINGS
from elt_factory.cli.settings import Platform, settings_text
from elt_factory.core.extras import EXTRAS

# what the demo and its dbt project need in Astro's image
ASTRO_EXTRAS = ("dbt-snowflake", "demo", "git", "pictures", "postgres")
_AIRFLOW = "apache-airflow>"  # the image brings it
_OWN = re.compile(r"elt-factory\[(.*)\]")
_INTRO = """\
# What Astro's image and its standalone mode install next to Airflow: generated from pyproject.toml by `make reference`,
# with the extras {extras}. The package itself is found through include/ on the path.
# Everything pinned, with hashes and development tools: requirements.lock
"""


def requirements(root: Path) -> str:
    """Return the requirements.txt of the Astro project in this repository."""
    project = _project(root)
    wanted = {*project["dependencies"], *_expanded(project["optional-dependencies"], ASTRO_EXTRAS)}
    lines = sorted(line for line in wanted if not line.startswith(_AIRFLOW))
    return _INTRO.format(extras=", ".join(ASTRO_EXTRAS)) + "\n".join(lines) + "\n"


def extras_table(root: Path) -> str:
    """Return the table of the extras as Markdown."""
    given = _project(root)["optional-dependencies"]
    lines = ["| extra | for | installs |", "| --- | --- | --- |"]
    for name, extra in EXTRAS.items():
        lines.append(f"| `{name}` | {extra.purpose} | {', '.join(map(_name, given[name]))} |")
    return "\n".join(lines)


def settings_block(_: Path) -> str:
    """Return Airflow's settings as lines of an environment file, in Markdown."""
    return _environment(AIRFLOW_SETTINGS)


def celery_block(_: Path) -> str:
    """Return what Celery workers need next to them, in Markdown."""
    return _environment({**CELERY_ADDRESSES, **CELERY_SETTINGS})


def platform_block(platform: str, language: str) -> Callable[[Path], str]:
    """Return what writes the settings of a platform in Markdown, as `elt settings --for` prints them."""
    return lambda _: f"```{language}\n{settings_text(Platform(platform))}\n```"


def _environment(settings: Mapping[str, str]) -> str:
    lines = [f"{name}={value}" for name, value in settings.items()]
    return "\n".join(["```ini", *lines, "```"])


def _project(root: Path) -> Mapping[str, Any]:
    project: Mapping[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project


def _expanded(extras: Mapping[str, list[str]], names: Iterable[str]) -> Iterator[str]:
    """Yield the requirements of extras, and of the extras that these name."""
    for name in names:
        for requirement in extras[name]:
            own = _OWN.fullmatch(requirement)
            yield from _expanded(extras, own[1].split(",")) if own else (requirement,)


def _name(requirement: str) -> str:
    own = _OWN.fullmatch(requirement)
    return (
        ", ".join(f"`{name}`" for name in own[1].split(","))
        if own
        else re.split(r"[\[<>=]", requirement, maxsplit=1)[0]
    )
