"""The objects below a URL of object storage: listed, read and written, each of them whole."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from pathlib import Path
from typing import Any

from elt_factory.core.failures import redact

_CHUNK = 1024 * 1024
_PAGE = 1000  # what one request lists
_UPLOAD, _UPLOADS = 8 * 1024 * 1024, 2  # of one file: what is in memory, and how often
_CODE = re.compile(r"<Code>([^<]+)</Code>")
_SAID = re.compile(r"<Message>([^<]*)</Message>")
_STATUS = re.compile(r"status code: (\d{3})")
_PROVIDER = re.compile(r"External .* credential provider: ((\w+): .*)")
_NO_WAY = re.compile(r"Connect|Timeout|Transport")
_REFUSED = ("401", "403")
_REST = re.compile(r"\n\s*\n?Debug source:.*", re.DOTALL)
_LONGEST = 300
# each vendor has codes of its own
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "InvalidBucketName", "AccountNotFound")
_DENIED = (
    "AccessDenied",
    "AuthenticationFailed",
    "AuthorizationFailure",
    "AuthorizationPermissionMismatch",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
)
_REGION = ("AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect")
_REDIRECTS = ("301", "307")
_WRONG_REGION = "incorrectly configured region"


class ChangedError(Exception):
    """An object is not the version that was asked for."""


class Trouble(Enum):
    """What a request that failed comes down to."""

    DENIED = auto()
    NO_BUCKET = auto()
    NOT_THERE = auto()
    CHANGED = auto()
    REGION = auto()
    NAME = auto()
    UNAVAILABLE = auto()


@dataclass(frozen=True)
class Entry:
    """An object: its name below the URL, and what the storage says of it."""

    name: str
    size: int
    modified: datetime
    etag: str


@dataclass(frozen=True)
class Objects:
    """The objects below a URL. `store` is obstore's, of the whole bucket; `secrets` are what no message may show.

    What its methods raise is the library's: `trouble` and `told` say what it means.
    """

    url: str
    prefix: str
    store: Any = field(repr=False)
    secrets: Sequence[str] = field(default=(), repr=False)

    def list(self, below: str = "") -> Iterator[Entry]:
        """Yield the objects in a folder and below it, a page of them at a time."""
        for page in self.store.list(self._at(below) or None, chunk_size=_PAGE):
            yield from (self._entry(found) for found in page)

    def level(self, below: str = "") -> tuple[Sequence[Entry], Sequence[str]]:
        """Return the objects in a folder, without those below it, and the folders in it."""
        found = self.store.list_with_delimiter(self._at(below) or None)
        return [self._entry(one) for one in found["objects"]], [self._name(one) for one in found["common_prefixes"]]

    def look(self, name: str) -> Entry:
        """Return what is said of an object."""
        return self._entry(self.store.head(self._at(name)))

    def read(self, name: str) -> bytes:
        """Return the content of a small object."""
        return bytes(self.store.get(self._at(name)).bytes())

    def download(self, name: str, target: Path, etag: str = "", most: int | None = None) -> None:
        """Write an object into a file, in little memory: only the version that an ETag names, `most` bytes at most."""
        options = {"if_match": etag} if etag else {}
        found = self.store.get(self._at(name), options={**options, "range": (0, most)} if most else options)
        # not every server heeds If-Match
        if etag and _plain(found.meta["e_tag"]) != etag:
            raise ChangedError
        with target.open("wb") as copy:
            for chunk in found.stream(min_chunk_size=_CHUNK):
                copy.write(chunk)

    def write(self, name: str, content: bytes) -> None:
        """Put a small object there by one request."""
        self.store.put(self._at(name), content, use_multipart=False)

    def change(self, name: str, change: Callable[[bytes], bytes]) -> bool:
        """Put in place of a small object what `change` makes of it; False where someone else was faster.

        In a storage that knows no conditions the last one counts.
        """
        from obstore import exceptions

        try:
            found = self.store.get(self._at(name))
            # each storage has one of them, or both
            mode: Any = {name: value for name in ("e_tag", "version") if (value := found.meta[name])}
            before = bytes(found.bytes())
        except FileNotFoundError:
            mode, before = "create", b""
        try:
            self.store.put(self._at(name), change(before), mode=mode, use_multipart=False)
        except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
            return False
        except Exception as error:
            if not _knows_no_conditions(error):
                raise
            self.write(name, change(before))
        return True

    def upload(self, file: Path, name: str) -> None:
        """Put a file there, which appears whole with the end of its upload."""
        self.store.put(self._at(name), file, chunk_size=_UPLOAD, max_concurrency=_UPLOADS)

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects, in the order that the storage likes."""
        self.store.delete([self._at(name) for name in names])

    def told(self, error: Exception) -> str:
        """Return what a storage said, in one line and without secrets."""
        text = _REST.sub("", str(error)).strip()
        code, said = _CODE.search(text), _SAID.search(text)
        if found := _PROVIDER.search(text):
            text = f"no credentials: {found[1]}"
        elif code:
            text = f"{code[1]}: {said[1]}" if said else code[1]
        elif status := _STATUS.search(text):
            text = f"status {status[1]}"
        lines = redact(text, self.secrets).splitlines()
        return (lines[0] if lines else type(error).__name__)[:_LONGEST]

    def _at(self, name: str) -> str:
        return "/".join(filter(None, (self.prefix, name)))

    def _name(self, path: str) -> str:
        return path[len(self.prefix) + 1 if self.prefix else 0 :]

    def _entry(self, found: Any) -> Entry:
        return Entry(self._name(found["path"]), int(found["size"]), found["last_modified"], _plain(found["e_tag"]))


def _knows_no_conditions(error: Exception) -> bool:
    from obstore import exceptions

    code, status = _CODE.search(str(error)), _STATUS.search(str(error))
    said = (code and code[1] == "NotImplemented") or (status and status[1] == "501")
    return bool(said) or isinstance(error, exceptions.NotSupportedError | NotImplementedError)


def _plain(etag: str | None) -> str:
    return (etag or "").strip('"')


def trouble(error: Exception) -> Trouble:
    """Return what an error of the storage's library comes down to."""
    from obstore import exceptions

    text = str(error)
    code, status = _CODE.search(text), _STATUS.search(text)
    said, number = code[1] if code else "", status[1] if status else ""
    denied = (PermissionError, exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)
    # a server that hands out credentials may be down, too
    is_down = (found := _PROVIDER.search(text)) and _NO_WAY.search(found[2])
    signs = {
        Trouble.UNAVAILABLE: is_down,
        Trouble.NO_BUCKET: said in _NO_BUCKET,
        Trouble.REGION: said in _REGION or number in _REDIRECTS or _WRONG_REGION in text,
        Trouble.DENIED: said in _DENIED or isinstance(error, denied) or number in _REFUSED,
        Trouble.NAME: isinstance(error, exceptions.InvalidPathError),
        Trouble.CHANGED: isinstance(error, exceptions.PreconditionError | ChangedError),
        Trouble.NOT_THERE: isinstance(error, FileNotFoundError),
    }
    return next((one for one, is_so in signs.items() if is_so), Trouble.UNAVAILABLE)
