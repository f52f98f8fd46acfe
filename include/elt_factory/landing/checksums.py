"""What a landing's files hold: a checksum when they are written, and proof of it before they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from elt_factory.core.failures import LandingError, LandingUnavailableError
from elt_factory.landing.manifest import LandedFile
from elt_factory.landing.places import Place

AT_ONCE = 4  # files; hashing runs without Python's lock


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal, as `sha256sum` prints it."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def sha256_of_each(files: Sequence[Path]) -> list[str]:
    """Return the SHA-256 of files, several at a time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(sha256_of, files))


@contextmanager
def proven(place: Place, files: Sequence[LandedFile]) -> Iterator[Path]:
    """Provide a folder of this machine with files of a landing, as long as the block lasts.

    Raises:
        LandingError: a file is missing, or is not byte for byte what the extract task wrote.
        LandingUnavailableError: the disk or the storage does not give a file.
    """
    with place.fetched(file.path for file in files) as folder:
        try:
            found = sha256_of_each([folder / file.path for file in files])
        except FileNotFoundError as error:
            raise LandingError(f"landing {place} is incomplete: {error}; run the extract task again") from error
        except OSError as error:
            raise LandingUnavailableError(f"cannot read landing {place}: {error}") from error
        for file, sha256 in zip(files, found, strict=True):
            if sha256 != file.sha256:
                raise LandingError(
                    f"landing {place} is damaged: {file.path} has changed since the extract task wrote it: its SHA-256 "
                    "differs from the manifest; run the extract task again"
                )
        yield folder
