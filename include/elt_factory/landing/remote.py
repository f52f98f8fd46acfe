"""Landings in object storage: S3, Google Cloud Storage and Azure, opened by an Airflow connection."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from elt_factory.core.connection import Connection
from elt_factory.core.disk import disk_full, is_full, scratch_folder
from elt_factory.core.failures import AccessDeniedError, EltError, LandingError, LandingUnavailableError, redact
from elt_factory.core.stores import OBJECT_STORES, address_of
from elt_factory.landing.places import Entry, Place, check_inside
from elt_factory.storage.objects import Objects, Trouble, trouble
from elt_factory.storage.opening import open_objects

AT_ONCE = 4  # parts on their way at the same time
_CHANGES = 30  # tries to change a small file, where others are faster


@dataclass(frozen=True)
class RemotePlace(Place):
    """A prefix in object storage. An object appears there whole with the end of its upload, or not at all."""

    objects: Objects
    path: str = ""
    is_local = False

    def __str__(self) -> str:
        return self.url

    @property
    def root(self) -> str:
        """The address that all landings are below."""
        return self.objects.url

    @property
    def url(self) -> str:
        """The whole address, which never holds a secret."""
        return f"{self.root}/{self.path}" if self.path else self.root

    def below(self, *names: str) -> RemotePlace:  # noqa: D102
        return RemotePlace(self.objects, "/".join(filter(None, (self.path, *names))))

    @contextmanager
    def writing(self, name: str, workdir: Path) -> Iterator[Path]:
        """Provide a scratch folder.

        Its files go up together at the end, and each leaves this machine as it has arrived.
        """
        with tempfile.TemporaryDirectory(dir=workdir, prefix="parts-") as scratch:
            folder = Path(scratch)
            yield folder
            files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
            with ThreadPoolExecutor(AT_ONCE) as uploads, self._named():
                list(uploads.map(lambda to: self._upload(files[to], f"{name}/{to}"), files))

    def _upload(self, file: Path, name: str) -> None:
        self.objects.upload(file, self._below(name))
        file.unlink()

    @contextmanager
    def fetched(self, names: Iterable[str]) -> Iterator[Path]:
        """Provide a scratch folder with copies of the files, in the same folders as here."""
        with scratch_folder() as folder:
            with ThreadPoolExecutor(AT_ONCE) as downloads, self._named():
                list(downloads.map(lambda name: self._download(name, folder), names))
            yield folder

    def _download(self, name: str, folder: Path) -> None:
        check_inside(self, [name])
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        self.objects.download(self._below(name), folder / name)

    def read(self, name: str) -> bytes:  # noqa: D102
        with self._named(FileNotFoundError):
            return self.objects.read(self._below(name))

    def write(self, name: str, content: bytes) -> None:
        """Put a small file there by one request."""
        with self._named():
            self.objects.write(self._below(name), content)

    def change(self, name: str, change: Callable[[bytes], bytes]) -> None:
        """Put the new content there if the storage still has the version that it is made of, else try again."""
        for number in range(_CHANGES):
            with self._named():
                if self.objects.change(self._below(name), change):
                    return
            time.sleep(random.uniform(0, min(1.0, 0.01 * 2**number)))  # noqa: S311  # spreads workers, hides nothing
        raise LandingUnavailableError(f"the landing {self.root}: others changed {self._below(name)} {_CHANGES} times")

    def exchange(self, name: str, change: Callable[[bytes], bytes]) -> None:
        """Change it: an object is there whole or not at all."""
        self.change(name, change)

    def changed(self, name: str) -> datetime:  # noqa: D102
        with self._named():
            return self.objects.look(self._below(name)).modified

    def files(self) -> dict[str, Entry]:  # noqa: D102
        with self._named():
            found = list(self.objects.list(self.path))
        start = len(self.path) + 1 if self.path else 0
        return {one.name[start:]: Entry(one.size, one.modified, one.etag) for one in found}

    def remove(self, names: Sequence[str]) -> None:  # noqa: D102
        check_inside(self, names)
        # the order of one request is the storage's own
        self._remove(names[:1])
        self._remove(names[1:])

    def _remove(self, names: Sequence[str]) -> None:
        if names:
            with self._named():
                self.objects.remove([self._below(name) for name in names])

    def _below(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path else name

    @contextmanager
    def _named(self, missing: type[Exception] = LandingError) -> Iterator[None]:
        """Provide what the storage's library raises as our errors."""
        try:
            yield
        except EltError:
            raise
        except Exception as error:  # noqa: BLE001 - the library has exceptions of its own
            if is_full(error):
                raise disk_full(f"the landing {self.root}", [Path(tempfile.gettempdir())]) from None
            found, said = trouble(error), self.objects.told(error)
            if found is Trouble.DENIED:
                text = f"the landing {self.root} denied access: {said}; check the connection landing"
                raise AccessDeniedError(text) from None
            if found in {Trouble.NOT_THERE, Trouble.NO_BUCKET}:
                raise missing(f"missing object in the landing {self.url}: {said}") from None
            if found is Trouble.REGION:
                text = f"the landing {self.root} is in another region: {said}; set region_name of the connection"
                raise AccessDeniedError(text) from None
            raise LandingUnavailableError(f"the landing {self.root} returned an unexpected error: {said}") from None


def open_place(url: str, connection: Connection | None) -> RemotePlace:
    """Return the place of a URL, opened by an Airflow connection.

    Without a connection, the worker's own credentials apply.

    Raises:
        AccessDeniedError: no storage is known for the URL, or the connection does not fit.
        MissingExtraError: the storage's package is not installed.
    """
    scheme = address_of(url).scheme
    if scheme not in OBJECT_STORES:
        known = ", ".join(f"{name}://" for name in OBJECT_STORES)
        raise AccessDeniedError(f"unsupported landing {redact(url)}: use a folder, or a URL that starts with {known}")
    return RemotePlace(open_objects(url, connection, f"a landing in {scheme}://"))
