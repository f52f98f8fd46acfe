"""What is wrong or unwise in configs, as one list: the verdict that Airflow's loader comes to, and advice."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from elt_factory.config.errors import ConfigError, Position, Problem
from elt_factory.config.loading import DEFAULTS_FILE, config_files
from elt_factory.config.maintenance import load_maintenance, maintenance_files
from elt_factory.config.mistakes.across import LoadedConfig
from elt_factory.dag.neighbours import Neighbours
from elt_factory.describe.advice import advice, dated_sensors
from elt_factory.describe.expressions import expression_problems
from elt_factory.sources.extras import missing_extras

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """A problem and how much it matters: an error stops the config, a warning does not."""

    problem: Problem
    severity: Severity

    def entry(self) -> dict[str, Any]:
        """Return the finding for machines."""
        position = self.problem.position
        return {
            "file": str(position.file),
            "line": position.line,
            "column": position.column,
            "code": self.problem.code,
            "message": self.problem.message,
            "hint": self.problem.hint,
            "severity": self.severity,
        }

    def annotation(self) -> str:
        """Return the finding as a command of GitHub's workflows, which shows it next to the line."""
        problem, position = self.problem, self.problem.position
        text = f"{problem.message}\nhint: {problem.hint}" if problem.hint else problem.message
        places = f"file={_property(str(position.file))},line={position.line},col={position.column}"
        return f"::{self.severity} {places},title={_property(problem.code)}::{_data(text)}"


@dataclass(frozen=True)
class Verdict:
    """What was looked at, and everything that was found, in the order of files and lines."""

    files: tuple[Path, ...]
    configs: tuple[LoadedConfig, ...]
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """How many findings there are of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def with_more(self, more: Iterable[Finding]) -> Verdict:
        """Return the verdict with what a closer look has found."""
        return replace(self, findings=_in_order([*self.findings, *more]))


def validate(paths: Sequence[Path], root: Path) -> Verdict:
    """Hold the configs that the paths mean to everything that can be known without running anything.

    Args:
        paths: Configs, folders of configs, or a `_defaults.yaml`, which means the configs next to and below it. Other
            names that begin with _ or . are not configs, and are passed over.
        root: The folder of the project's configs; files outside of it are seen with their own folder.
    """
    files: dict[Path, None] = {}
    for path in paths:
        files.update(dict.fromkeys(_configs_of(_real(path), _real(root))))
    findings = [found for path in paths for found in _of_maintenance(_real(path))]
    configs: list[LoadedConfig] = []
    for folder, chosen in _by_folder(files, _real(root)).items():
        good, problems = _look_at(folder, chosen)
        configs += good
        findings += problems
    return Verdict(tuple(files), tuple(configs), _in_order(findings))


def finding(item: LoadedConfig, path: Sequence[str | int], severity: Severity, *told: str) -> Finding:
    """Return a finding at a key of a config: code, message and hint."""
    return Finding(_near(Problem(item.source.at_key(tuple(path)), *told)), severity)


def _configs_of(path: Path, root: Path) -> list[Path]:
    """Return the configs that a path stands for.

    None for a file of the project's folder that is not a config by its name.
    """
    if path.is_dir():
        return config_files(path)
    if path.name == DEFAULTS_FILE:
        return config_files(path.parent)
    inside = path.relative_to(root).parts if path.is_relative_to(root) else ()
    return [] if any(part[0] in "_." for part in inside) else [path]


def _of_maintenance(path: Path) -> Iterator[Finding]:
    """Yield what is wrong in a `_maintenance.yaml`, or in that of a folder."""
    for file in maintenance_files(path if path.is_dir() else path.parent):
        if file == path or path.is_dir():
            try:
                load_maintenance(file)
            except ConfigError as error:
                yield from (Finding(_near(problem), "error") for problem in error.problems)


def _by_folder(files: Iterable[Path], root: Path) -> Mapping[Path, list[Path]]:
    found: dict[Path, list[Path]] = {}
    for file in files:
        found.setdefault(root if file.is_relative_to(root) else file.parent, []).append(file)
    return found


def _look_at(folder: Path, chosen: Sequence[Path]) -> tuple[list[LoadedConfig], list[Finding]]:
    neighbours = Neighbours(folder)
    good: list[LoadedConfig] = []
    findings: list[Finding] = []
    for file in chosen:
        try:
            item = neighbours.load(file)
            neighbours.check(item)
            good.append(item)
        except ConfigError as error:
            findings += [Finding(_near(problem), "error") for problem in error.problems]
    dated = dated_sensors(_readable(neighbours))
    for item in good:
        findings += [
            Finding(_near(problem), "error") for problem in (*expression_problems(item), *missing_extras(item))
        ]
        findings += [Finding(_near(problem), "warning") for problem in advice(item, dated)]
    return good, findings


def _readable(neighbours: Neighbours) -> Iterator[LoadedConfig]:
    for file in config_files(neighbours.folder):
        try:
            yield neighbours.load(file)
        except ConfigError:
            continue


def _near(problem: Problem) -> Problem:
    """Return the problem with its file as one would type it here."""
    position, here = problem.position, Path.cwd()
    file = _real(position.file)
    shown = file.relative_to(here) if file.is_relative_to(here) else Path(os.path.normpath(position.file))
    return replace(problem, position=Position(shown, position.line, position.column))


def _real(path: Path) -> Path:
    """Return the path without links; a link that leads to itself stays, and is that file's own error."""
    return Path(os.path.realpath(path))


def _in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each once: a mistake in the defaults is found with every config next to them."""
    unique = dict.fromkeys(findings)
    return tuple(sorted(unique, key=_place))


def _place(found: Finding) -> tuple[str, int, int, str]:
    position = found.problem.position
    return str(position.file), position.line, position.column, found.problem.code


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
