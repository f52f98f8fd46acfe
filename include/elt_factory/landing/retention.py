"""Landings that no load needs any more are removed by age."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from elt_factory.failures import LandingError
from elt_factory.landing.manifest import MANIFEST_FILE, Manifest, parse_manifest
from elt_factory.landing.places import Entry, Place


def clean_landings(place: Place, committed: Callable[[], Mapping[str, datetime]], before: datetime) -> list[str]:
    """Remove the landings of one table whose files are all older than a moment; their load ids.

    A landing is kept while the warehouse does not have it: when its load id is in no commit, or in one of an earlier
    landing. `committed` says when the landing of each committed load was begun; it is asked only where something is
    old. What has no manifest is what a killed extract left, and goes by age alone.
    """
    old = {name: files for name, files in _by_load(place.files()).items() if _all_older(files, before)}
    if not old:
        return []
    loads = committed()
    return [name for name, files in sorted(old.items()) if _removed(place.below(name), files, loads.get(name))]


def _by_load(files: Mapping[str, Entry]) -> dict[str, dict[str, Entry]]:
    found: dict[str, dict[str, Entry]] = {}
    for path, entry in files.items():
        load, _, name = path.partition("/")
        if name:
            found.setdefault(load, {})[name] = entry
    return found


def _all_older(files: Mapping[str, Entry], before: datetime) -> bool:
    return all(entry.modified is not None and entry.modified < before for entry in files.values())


def _removed(landing: Place, files: Mapping[str, Entry], committed: datetime | None) -> bool:
    """Remove the files that were seen, and none that a new extract puts beside them meanwhile."""
    if MANIFEST_FILE in files:
        manifest = _manifest(landing)
        if manifest is None or committed is None or datetime.fromisoformat(manifest.started_at) > committed:
            return False
    # without its manifest none of the other files counts
    landing.remove(sorted(files, key=lambda name: name != MANIFEST_FILE))
    return True


def _manifest(landing: Place) -> Manifest | None:
    try:
        return parse_manifest(landing)
    except LandingError:  # somebody else was faster, or it cannot be read and people shall look at it
        return None


def utc(moment: datetime) -> datetime:
    """A moment of the warehouse, which may leave out that it is UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
