"""Where files can be, as a URL says it: which extra and which types of Airflow connections each store needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class StoreType:
    """A kind of store: what people call it, its connections, the extra that brings its package, an example."""

    title: str
    conn_types: tuple[str, ...]
    extra: str
    example: str


S3 = StoreType("S3", ("aws",), "s3", "s3://bucket/orders")
GOOGLE = StoreType("Google Cloud Storage", ("google_cloud_platform",), "gcs", "gs://bucket/orders")
AZURE = StoreType("Azure", ("wasb", "adls"), "azure", "abfs://container/orders")
# object storage: what landings can be in, too
OBJECT_STORES: Mapping[str, StoreType] = {"s3": S3, "gs": GOOGLE, "abfs": AZURE, "abfss": AZURE, "az": AZURE}
SFTP = StoreType("SFTP", ("sftp", "ssh"), "sftp", "sftp://files.example.com/orders")
WEB = StoreType("a web server", ("http", "https"), "", "https://data.example.com/orders")
STORES: Mapping[str, StoreType] = {**OBJECT_STORES, "sftp": SFTP, "http": WEB, "https": WEB}
# the extra that each type of connection needs
EXTRAS_OF_TYPES: Mapping[str, str] = {
    conn_type: store.extra for store in STORES.values() if store.extra for conn_type in store.conn_types
}
# what a folder that is not a URL may be on
FOLDER_TYPES = ("fs", *SFTP.conn_types, *WEB.conn_types)


@dataclass(frozen=True)
class Address:
    """A URL taken apart: `host` is a bucket, a container or a server, `path` the folder in it, "" for all of it."""

    scheme: str
    host: str
    path: str


def is_url(place: str) -> bool:
    """Whether a setting is a URL and no folder."""
    return "://" in place


def address_of(url: str) -> Address:
    """Take a URL apart. What is in it is taken as it is: the name of an object may have any sign."""
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    return Address(scheme, host, path.strip("/"))


def host_and_port(server: str) -> tuple[str, int | None]:
    """Take the server of a URL apart, as in `files.example.com:2222` and `[::1]`.

    Raises:
        ValueError: it has no name, or a port that is not a number.
    """
    parts = urlsplit(f"//{server}")
    port = parts.port
    if not parts.hostname:
        raise ValueError("it has no name")
    return parts.hostname, port


def store_of(place: str) -> StoreType | None:
    """Return the store that a URL names; None for a folder, and for a URL of no store."""
    return STORES.get(place.partition("://")[0]) if is_url(place) else None
