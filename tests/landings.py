"""What lies below the place of a load: the landing of each attempt."""

from pathlib import Path

from elt_factory.landing.attempt import is_attempt
from elt_factory.landing.manifest import MANIFEST_FILE, Manifest, parse_manifest, read_manifest
from elt_factory.landing.places import Place


def newest(place: Place) -> Manifest:
    """The manifest of the attempt that began last. A task reads the one of its own run."""
    names = [name.partition("/")[0] for name in place.files() if name.endswith(f"/{MANIFEST_FILE}")]
    found = [parse_manifest(place.below(name)) for name in names if is_attempt(name)]
    manifest = max(found, key=lambda manifest: manifest.started_at)
    return read_manifest(place, manifest.owner)


def manifest_file(folder: Path, manifest: Manifest) -> Path:
    """The file of a manifest below the folder of its load."""
    return folder / manifest.attempt / MANIFEST_FILE
