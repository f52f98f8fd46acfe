"""What lies below the place of a load: the landing of each attempt."""

from pathlib import Path

from elt_factory.landing.manifest import MANIFEST_FILE, Manifest


def manifest_file(folder: Path, manifest: Manifest) -> Path:
    """The file of a manifest below the folder of its load."""
    return folder / manifest.attempt / MANIFEST_FILE
