"""A folder in object storage: S3, Google Cloud Storage or Azure."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from elt_factory.core.failures import (
    AccessDeniedError,
    BadRequestError,
    EltError,
    SourceNotReadyError,
    SourceUnavailableError,
)
from elt_factory.sources.files.store import Found, Store, changed, fixed_folder, is_match, matches_part
from elt_factory.storage.objects import Entry, Objects, Trouble, trouble

log = logging.getLogger(__name__)

_SHOWN = 1000  # names that a hint chooses from


class BucketStore(Store):
    """The objects below a URL. An object is fetched as the version that was listed, or not at all."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def __str__(self) -> str:
        return self._objects.url

    def look(self, name: str) -> Found | None:
        """Return the object of a name."""
        try:
            return _found(self._objects.look(name))
        except FileNotFoundError:
            return None
        except Exception:
            with self._spoken(name):
                # a HEAD that is refused has no words: a list that is refused has
                next(self._objects.list(fixed_folder(name)), None)
                raise

    def matches(self, pattern: str) -> Iterator[Found]:
        """Yield the objects that a pattern matches, of all that are below its fixed part."""
        folder = fixed_folder(pattern)
        forms = pattern[len(folder) + 1 if folder else 0 :].split("/")
        with self._spoken(pattern):
            for entry in self._listed(folder, forms):
                # what consoles make in place of an empty folder is listed, and not there
                if is_match(entry.name, pattern) and (entry.size or self.look(entry.name)):
                    yield _found(entry)

    def names(self, folder: str) -> list[str]:
        """Return what is in a folder."""
        with self._spoken(folder):
            start = len(folder) + 1 if folder else 0
            try:
                listed = [*islice(self._objects.list(folder), _SHOWN)]
            except Exception as error:
                if trouble(error) is not Trouble.NAME:
                    raise
                # what is waited for may still come
                return [f"names that are not paths ({self._objects.told(error)})"]
            return list(dict.fromkeys(entry.name[start:].partition("/")[0] for entry in listed))

    def fetch(self, found: Found, folder: Path, most: int | None = None) -> Path:
        """Return a copy of an object."""
        target = folder / Path(found.name).name
        folder.mkdir(parents=True)
        with self._spoken(found.name):
            self._objects.download(found.name, target, found.tag, most)
        return target

    def _listed(self, folder: str, forms: Sequence[str]) -> Iterator[Entry]:
        """Yield the objects below a folder; some may come twice.

        A name that is not a path fails the whole list of what is below: then only the folders that the pattern reaches
        are listed, one by one.
        """
        try:
            yield from self._objects.list(folder)
        except Exception as error:
            if trouble(error) is not Trouble.NAME or "**" in forms:
                raise
            said = self._objects.told(error)
            log.warning("%s has an object with a name that is not a path, which may be skipped: %s", self, said)
            yield from self._reached(folder, forms)

    def _reached(self, folder: str, forms: Sequence[str]) -> Iterator[Entry]:
        entries, folders = self._objects.level(folder)
        if len(forms) == 1:
            yield from entries
            return
        for inner in folders:
            if matches_part(inner.rpartition("/")[2], forms[0]):
                yield from self._reached(inner, forms[1:])

    @contextmanager
    def _spoken(self, name: str) -> Iterator[None]:
        """Say what went wrong in our words."""
        try:
            yield
        except (EltError, OSError) as error:
            if not isinstance(error, FileNotFoundError):
                raise
            raise changed(name) from None
        except Exception as error:  # noqa: BLE001 - the library has exceptions of its own
            kind, text = self._failure(trouble(error), name, self._objects.told(error))
            raise kind(text) from None

    def _failure(self, found: Trouble, name: str, said: str) -> tuple[type[EltError], str]:
        if found is Trouble.NO_BUCKET:
            return BadRequestError, f"{self}: {said}; hint: check the name of the bucket, and the connection's account"
        if found is Trouble.DENIED:
            hint = "check the connection, and its right to list and read there"
            return AccessDeniedError, f"{self} denied access: {said}; hint: {hint}"
        if found is Trouble.REGION:
            hint = (
                'write the region_name of the bucket in the extra of the connection, as in {"region_name": "eu-west-1"}'
            )
            return BadRequestError, f"{self} is in another region: {said}; hint: {hint}"
        if found is Trouble.NAME:
            hint = "a part of it is empty, . or ..; move it, or choose a folder without such names"
            return BadRequestError, f"{self} has an object with a name that is not a path: {said}; hint: {hint}"
        if found in {Trouble.CHANGED, Trouble.NOT_THERE}:
            return SourceNotReadyError, str(changed(name))
        return SourceUnavailableError, f"{self} did not answer: {said}"


def _found(entry: Entry) -> Found:
    return Found(entry.name, entry.size, entry.modified, entry.etag)
