"""The configs as they are on disk, read again where they changed: a page with a thousand of them asks often."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from elt_factory.config.errors import ConfigError
from elt_factory.config.loading import DEFAULTS_FILE, LoadedConfig, config_files, load_config
from elt_factory.config.mistakes.across import problems_across
from elt_factory.config.mistakes.cycles import cycles
from elt_factory.core.project import config_folder

_LOOK = 2.0  # seconds between two looks at the folder


@dataclass(frozen=True)
class Estate:
    """All configs that can be used, by name, and what is wrong with the others, by file."""

    configs: Mapping[str, LoadedConfig] = field(default_factory=dict)
    broken: Mapping[Path, ConfigError] = field(default_factory=dict)


class EstateReader:
    """The folder of configs, of which a file is read again only when it, or a file of defaults, has changed.

    Args:
        folder: The folder of the YAML files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = Lock()
        self._looked = float("-inf")
        self._read: dict[Path, tuple[object, LoadedConfig | ConfigError]] = {}
        self._estate = Estate()

    def estate(self) -> Estate:
        """Return the configs as they are, at most two seconds old."""
        with self._lock:
            if time.monotonic() - self._looked > _LOOK:
                self._look()
                self._looked = time.monotonic()
            return self._estate

    def _look(self) -> None:
        files = config_files(self._folder)
        defaults = tuple((file, _stamp(file)) for file in sorted(self._folder.rglob(DEFAULTS_FILE)))
        stamps = {file: (_stamp(file), defaults) for file in files}
        known = {file: stamp for file, (stamp, _) in self._read.items()}
        if known == stamps:
            return
        kept = {file: found for file, found in self._read.items() if found[0] == stamps.get(file)}
        self._read = kept | {
            file: (stamp, _load(file, self._folder)) for file, stamp in stamps.items() if file not in kept
        }
        self._estate = _together([found for _, found in self._read.values()], list(self._read))


def _load(file: Path, folder: Path) -> LoadedConfig | ConfigError:
    try:
        return load_config(file, folder)
    except ConfigError as error:
        return error


def _together(found: list[LoadedConfig | ConfigError], files: list[Path]) -> Estate:
    """Return the configs as a folder: what is wrong between files is an error of one of them."""
    broken = {file: item for file, item in zip(files, found, strict=True) if isinstance(item, ConfigError)}
    loaded = [item for item in found if isinstance(item, LoadedConfig)]
    told = {file: list(problems) for file, problems in problems_across(loaded, broken=list(broken)).items()}
    for item, problem in cycles(loaded):
        told.setdefault(item.file, []).append(problem)
    broken |= {file: ConfigError(problems) for file, problems in told.items()}
    return Estate({item.config.name: item for item in loaded if item.file not in broken}, dict(sorted(broken.items())))


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        about = file.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size


_readers: dict[Path, EstateReader] = {}


def current_estate() -> Estate:
    """Return the configs of this project."""
    folder = config_folder()
    return _readers.setdefault(folder, EstateReader(folder)).estate()
