"""Landings in object storage: S3, Google Cloud Storage and Azure through fsspec, opened by an Airflow connection."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from elt_factory.core.connection import Connection
from elt_factory.core.disk import disk_full, is_full, scratch_folder
from elt_factory.core.extras import MissingExtraError, missing
from elt_factory.core.failures import AccessDeniedError, LandingError, LandingUnavailableError, redact
from elt_factory.landing.places import Entry, Place, check_inside

AT_ONCE = 4  # parts on their way at the same time
_MODIFIED = ("LastModified", "last_modified", "mtime", "updated", "created")  # as S3, Azure and Google say it
_ETAGS = ("ETag", "etag")


@dataclass(frozen=True)
class _Storage:
    """A kind of object storage: the extra that brings its package, its connections, and fsspec's options."""

    extra: str
    conn_types: tuple[str, ...]
    options: Callable[[Connection], dict[str, Any]]


@dataclass(frozen=True)
class RemotePlace(Place):
    """A prefix in object storage. An object appears there whole with the end of its upload, or not at all.

    `secrets` are what no message may show.
    """

    root: str
    path: str
    filesystem: Any = field(repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    is_local = False

    def __str__(self) -> str:
        return self.url

    @property
    def url(self) -> str:
        """The whole address, which never holds a secret."""
        return f"{self.root}/{self.path}" if self.path else self.root

    def below(self, *names: str) -> RemotePlace:  # noqa: D102
        path = "/".join(filter(None, (self.path, *names)))
        return RemotePlace(self.root, path, self.filesystem, self.secrets)

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
        self.filesystem.put_file(str(file), self._at(name))
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
        self.filesystem.get_file(self._at(name), str(folder / name))

    def read(self, name: str) -> bytes:  # noqa: D102
        with self._named(FileNotFoundError):
            content: bytes = self.filesystem.cat_file(self._at(name))
            return content

    def write(self, name: str, content: bytes) -> None:
        """Put a small file there by one request."""
        with self._named():
            self.filesystem.pipe_file(self._at(name), content)

    def files(self) -> dict[str, Entry]:  # noqa: D102
        with self._named():
            base = self.filesystem._strip_protocol(self.url)  # noqa: SLF001 - how fsspec itself names what it lists
            found = self.filesystem.find(base, detail=True, refresh=True)
        return {name.removeprefix(f"{base}/"): _entry(about) for name, about in found.items()}

    def remove(self, names: Sequence[str]) -> None:  # noqa: D102
        check_inside(self, names)
        # the order of one request is the storage's own
        self._remove(names[:1])
        self._remove(names[1:])

    def _remove(self, names: Sequence[str]) -> None:
        if names:
            with self._named():
                self.filesystem.rm([self._at(name) for name in names])

    def _at(self, name: str) -> str:
        return f"{self.url}/{name}"

    @contextmanager
    def _named(self, missing: type[Exception] = LandingError) -> Iterator[None]:
        """Provide what the storage's library raises as our errors; it has a hierarchy of its own for every vendor."""
        try:
            yield
        except LandingError:
            raise
        except PermissionError as error:
            text = f"the landing {self.root} denied access: {self._told(error)}; check the connection landing"
            raise AccessDeniedError(text) from None
        except FileNotFoundError as error:
            raise missing(f"missing object in the landing {self.url}: {self._told(error)}") from None
        except Exception as error:  # noqa: BLE001 - each vendor has exceptions of its own
            if is_full(error):
                raise disk_full(f"the landing {self.root}", [Path(tempfile.gettempdir())]) from None
            text = f"the landing {self.root} returned an unexpected error: {self._told(error)}"
            raise LandingUnavailableError(text) from None

    def _told(self, error: Exception) -> str:
        lines = redact(str(error).strip(), self.secrets).splitlines()
        return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def is_url(place: str) -> bool:
    """Whether a landing setting is a URL and no folder."""
    return "://" in place


def open_place(url: str, connection: Connection | None) -> RemotePlace:
    """Return the place of a URL, opened by an Airflow connection.

    Without a connection, the worker's own credentials apply.

    Raises:
        AccessDeniedError: no storage is known for the URL, or the connection does not fit.
        MissingExtraError: the storage's package is not installed.
    """
    scheme = url.partition("://")[0]
    storage = _STORAGES.get(scheme)
    if storage is None:
        known = ", ".join(f"{name}://" for name in _STORAGES)
        raise AccessDeniedError(f"unsupported landing {redact(url)}: use a folder, or a URL that starts with {known}")
    if connection and connection.conn_type not in storage.conn_types:
        raise AccessDeniedError(
            f'the connection "{connection.conn_id}" has the type "{connection.conn_type}"; '
            f"a landing in {scheme}:// needs type {' or '.join(storage.conn_types)}"
        )
    if module := missing(storage.extra):
        raise MissingExtraError(f"a landing in {scheme}://", storage.extra, module)
    options = storage.options(connection) if connection else {}
    secrets = tuple(_secrets(connection, options))
    return RemotePlace(url.rstrip("/"), "", _filesystem(url, options, secrets), secrets)


def _filesystem(url: str, options: Mapping[str, Any], secrets: Iterable[str]) -> Any:
    from fsspec.core import url_to_fs

    try:
        # listings that were kept would hide what other workers did
        return url_to_fs(url, **options, use_listings_cache=False, skip_instance_cache=True)[0]
    except Exception as error:  # noqa: BLE001 - each vendor has exceptions of its own
        text = f"cannot open the landing {redact(url)}: {type(error).__name__}: {redact(str(error), secrets)}"
        raise AccessDeniedError(text) from None


def _s3(connection: Connection) -> dict[str, Any]:
    extra = connection.extra
    if extra.get("role_arn"):
        raise AccessDeniedError(
            f'the connection "{connection.conn_id}" has a role_arn, which landings do not support; '
            "give the role to the worker and remove the connection, or set a profile_name"
        )
    client = {key: extra[key] for key in ("region_name", "endpoint_url") if extra.get(key)}
    return _given(
        key=connection.login,
        secret=connection.password,
        token=extra.get("aws_session_token"),
        profile=extra.get("profile_name"),
        client_kwargs=client,
    )


def _gcs(connection: Connection) -> dict[str, Any]:
    extra = connection.extra
    key = extra.get("keyfile_dict")
    token = json.loads(key) if isinstance(key, str) and key else key or extra.get("key_path")
    return _given(project=extra.get("project"), token=token or ("anon" if extra.get("is_anonymous") else None))


def _azure(connection: Connection) -> dict[str, Any]:
    """Of type wasb the login is an account, of type adls an application; with a tenant it is one for both."""
    extra = connection.extra
    by_application = bool(extra.get("tenant_id"))
    account = connection.host if by_application or connection.conn_type == "adls" else connection.login
    return _given(
        account_name=_account(account),
        connection_string=extra.get("connection_string"),
        sas_token=extra.get("sas_token"),
        tenant_id=extra.get("tenant_id"),
        client_id=connection.login if by_application else None,
        client_secret=connection.password if by_application else None,
        account_key=None if by_application else connection.password,
    )


def _account(named: str | None) -> str | None:
    """Return the account of `https://account.blob.core.windows.net`, or as it is."""
    return named.rpartition("://")[2].partition(".")[0] if named else None


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value}


def _secrets(connection: Connection | None, options: Mapping[str, Any]) -> Iterator[str]:
    if connection and connection.password:
        yield connection.password
    for name in ("token", "secret", "connection_string", "sas_token", "client_secret", "account_key"):
        value = options.get(name)
        if isinstance(value, Mapping):
            yield from (text for key, text in value.items() if key.startswith("private_key") and isinstance(text, str))
        elif isinstance(value, str):
            yield value


def _entry(about: Mapping[str, Any]) -> Entry:
    moment = next((about[key] for key in _MODIFIED if about.get(key)), None)
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    elif isinstance(moment, float):
        moment = datetime.fromtimestamp(moment, UTC)
    etag = next((str(about[key]).strip('"') for key in _ETAGS if about.get(key)), "")
    return Entry(int(about["size"] or 0), moment if isinstance(moment, datetime) else None, etag)


_AZURE = _Storage("azure", ("wasb", "adls"), _azure)
_STORAGES: Mapping[str, _Storage] = {
    "s3": _Storage("s3", ("aws",), _s3),
    "gs": _Storage("gcs", ("google_cloud_platform",), _gcs),
    "abfs": _AZURE,
    "abfss": _AZURE,
    "az": _AZURE,
}
