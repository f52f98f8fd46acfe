"""What one config needs to know of the other files of its folder, and no more than that is read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import chain
from pathlib import Path

from elt_factory.config.errors import ConfigError
from elt_factory.config.loading import config_files, load_config
from elt_factory.config.mistakes.across import LoadedConfig, claim, problems_across, source_sensors
from elt_factory.config.mistakes.cycles import cycles
from elt_factory.config.models.source import Config
from elt_factory.core.content import content_of

_NAME_LINE = re.compile(rb"^name:[ \t]*[\"']?([a-z][a-z0-9_]*)[\"']?[ \t]*(?:#.*)?$", re.MULTILINE)
_WORD = re.compile(rb"[a-z][a-z0-9_]*")
_SUFFIXES = (".yaml", ".yml")

# The names in files, by file and its state: only what has changed is read again
_names: dict[Path, tuple[tuple[int, int], str]] = {}
# What `read_ahead` found, and the process that looked
_ahead: dict[Path, tuple[int, Mapping[str, list[Path]]]] = {}


class Neighbours(Mapping[str, tuple[str, ...]]):
    """The configs of a folder by name, each read when it is asked for; as a mapping, every source's tables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._loaded: dict[Path, LoadedConfig | ConfigError] = {}

    def __getitem__(self, name: str) -> tuple[str, ...]:
        known = self._known(name)
        if known is None:
            raise KeyError(name)
        return tuple(known.config.all_tables)

    def __iter__(self) -> Iterator[str]:
        return iter(self.files_by_name)

    def __len__(self) -> int:
        return len(self.files_by_name)

    @cached_property
    def files_by_name(self) -> Mapping[str, list[Path]]:
        """Every file of the folder by the name in it, read or broken; more than one where a name is taken twice."""
        process, ahead = _ahead.get(self.folder, (os.getpid(), {}))
        # a child lives for one DAG, and was forked right after its parent looked
        return _files_by_name(self.folder) if process == os.getpid() else ahead

    def load(self, file: Path) -> LoadedConfig:
        """Read a config, once.

        Raises:
            ConfigError: it is wrong.
        """
        if file not in self._loaded:
            try:
                self._loaded[file] = load_config(file, self.folder)
            except ConfigError as error:
                self._loaded[file] = error
        known = self._loaded[file]
        if isinstance(known, ConfigError):
            raise known
        return known

    def file_of(self, name: str) -> Path | None:
        """Return the file of a name: found among those that are called so, else by a look into each."""
        for file in chain(self._in_folder(name), self._below(name)):
            if name_in(file) == name:
                return file
        return next(iter(self.files_by_name.get(name, ())), None)

    def _in_folder(self, name: str) -> Iterator[Path]:
        return filter(os.path.lexists, (self.folder / f"{name}{suffix}" for suffix in _SUFFIXES))

    def _below(self, name: str) -> Iterator[Path]:
        if self.folder not in _ahead and "files_by_name" not in vars(self):
            called_so = (file for file in config_files(self.folder) if file.stem == name)
            yield from sorted(called_so, key=partial(claim, name))

    def check(self, item: LoadedConfig) -> None:
        """Hold a config against the files around it.

        Raises:
            ConfigError: its name is taken, or it waits for what never comes.
        """
        around, broken = self._around(item)
        found = list(problems_across(around, broken).get(item.file, ()))
        found += [problem for waiting, problem in cycles(self._awaited(item)) if waiting is item]
        if found:
            raise ConfigError(found)

    def _around(self, item: LoadedConfig) -> tuple[list[LoadedConfig], list[Path]]:
        """Return the configs that this one may clash with or waits for.

        The files that could define what it waits for are included.
        """
        names = [item.config.name, *(sensor.source for _, sensor in source_sensors(item.config))]
        files = {file for name in names for file in self.files_by_name.get(name, ())} | {item.file}
        loaded, broken = [], []
        for file in sorted(files, key=lambda file: file.parts):
            try:
                loaded.append(self.load(file))
            except ConfigError:
                broken.append(file)
        unknown = any(name not in self.files_by_name for name in names)
        return loaded, [*broken, *(config_files(self.folder) if unknown else ())]

    def _awaited(self, item: LoadedConfig) -> list[LoadedConfig]:
        """Return the config, and all that it waits for, near and far."""
        found = {item.config.name: item}
        reached = [item]
        for waiting in reached:
            for _, sensor in source_sensors(waiting.config):
                other = None if sensor.source in found else self._known(sensor.source)
                if other:
                    found[sensor.source] = other
                    reached.append(other)
        return reached

    def clock_of(self, name: str) -> Config | None:
        """Return the config whose times are those of a source; None where it has none, or is not known."""
        known, seen = self._known(name), {name}
        while known and (awaited := known.config.schedule.awaited if known.config.schedule else {}):
            first = next(iter(awaited))
            known = None if first in seen else self._known(first)
            seen.add(first)
        return known.config if known and known.config.timetable else None

    def _known(self, name: str) -> LoadedConfig | None:
        file = self.file_of(name)
        try:
            return self.load(file) if file else None
        except ConfigError:
            return None


def read_ahead(folder: Path) -> Mapping[str, list[Path]]:
    """Look through a folder for the processes that are forked from this one: thousands of files take a while."""
    found = _files_by_name(folder)
    _ahead[folder] = (os.getpid(), found)
    return found


def files_that_look_at(folder: Path, changed: Sequence[Path]) -> set[Path]:
    """Return the other files whose DAG or error may follow from files that changed, came or went, near and far.

    They are found by the words in them, without parsing: one too many is read once more, and gives the same DAG.
    """
    if not changed:
        return set()
    names = {name for file in changed for name in (file.stem, _known_name(file), name_in(file))}
    candidates = {file: _words(file) for file in config_files(folder) if file not in changed}
    found: set[Path] = set()
    while names:
        nearer = {file for file, words in candidates.items() if file not in found and not names.isdisjoint(words)}
        found |= nearer
        names = {name_in(file) for file in nearer}
    return found


def _known_name(file: Path) -> str:
    """Return the name that a file had when this process last looked."""
    return _names[file][1] if file in _names else file.stem


def _words(file: Path) -> set[str]:
    """Return the names that a file may wait for.

    Its own name, which another file may take, alone where it waits for none.
    """
    try:
        text = content_of(file)
    except OSError:
        return set()
    return {*map(bytes.decode, _WORD.findall(text))} if b"source" in text or b"assets" in text else {name_in(file)}


def _files_by_name(folder: Path) -> Mapping[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for file in config_files(folder):
        found.setdefault(name_in(file), []).append(file)
    return {name: sorted(files, key=partial(claim, name)) for name, files in found.items()}


def name_in(file: Path) -> str:
    """Return the name that a file's config has, found without parsing it; the file's own name where none is found."""
    try:
        stat = file.stat()
        state = (stat.st_mtime_ns, stat.st_size)
        known = _names.get(file)
        if known is None or known[0] != state:
            match = _NAME_LINE.search(content_of(file))
            known = _names[file] = (state, match[1].decode() if match else file.stem)
    except OSError:
        return file.stem
    return known[1]
