"""Where files are, as a config says it: a folder or a URL, and name patterns below it; none holds a secret."""

from __future__ import annotations

import re

from elt_factory.config.errors import MistakeError, raise_found, shown
from elt_factory.config.models import secrets
from elt_factory.config.synonyms import near_word
from elt_factory.core.stores import AZURE, SFTP, STORES, WEB, StoreType, address_of, host_and_port, is_url, store_of

_DIRECTIVES = ("Y", "m", "d", "H", "%")
_HINT = "put the secret into the Airflow connection: as its login and password, or as a header in its extra"


def check_folder(value: str) -> str:
    """Return a folder: a path that stays below the project or the connection's path, or a URL of a store.

    Raises:
        ValueError: anything else.
    """
    if is_url(value):
        return _check_folder_url(value)
    raise_found(secrets.in_path(value, _HINT))
    if _leads_out(value):
        hint = "write a folder below it, or use a connection of type fs, which may hold any path"
        raise MistakeError(f"{shown(value)} points outside the project or the connection's path", hint)
    return value


def check_file_pattern(value: str) -> str:
    """Return a pattern of names below a folder, with periods.

    Raises:
        ValueError: anything else.
    """
    raise_found(secrets.in_path(value, _HINT))
    if "://" in value:
        hint = "write a pattern below the folder, like orders/*.csv; the folder itself goes into extract: {folder: ...}"
        raise MistakeError(f"expected a name pattern, got the URL {shown(value)}", hint)
    if _leads_out(value):
        raise MistakeError(f"{shown(value)} points outside the folder", "write a pattern below it, like orders/*.csv")
    if re.search(r"\.zip/.*%[YmdH]", value, re.IGNORECASE):
        hint = "write the period in the archive's name, or all files of the archive, as in orders.zip/*.csv"
        raise MistakeError(f"{shown(value)} has a period within an archive", hint)
    unknown = [letter for letter in re.findall(r"%(.?)", value) if letter not in _DIRECTIVES]
    if unknown:
        raise MistakeError(f"unsupported date directive %{unknown[0]}", "write %Y %m %d %H, or %% for a percent sign")
    return value


def _check_folder_url(value: str) -> str:
    address, store = address_of(value), store_of(value)
    _refuse_secret(value, store)
    if store is None:
        raise MistakeError(f"unknown store {shown(address.scheme + '://')}", near_word(address.scheme, STORES))
    like = f"write one like {store.example}"
    if not address.host:
        raise MistakeError(f"{shown(value)} names no bucket", like)
    if store in (SFTP, WEB):
        _check_server(address.host, like)
    if store is WEB and "#" in value:
        raise MistakeError(f"{shown(value)} has a fragment", "remove it, or write %23 for a # in the name of a folder")
    if address.path and not {"", ".", ".."}.isdisjoint(address.path.split("/")):
        raise MistakeError(f"{shown(value)} has a part that is empty or points outside", like)
    if re.search(r"[*\[]", address.path):
        raise MistakeError(f"{shown(value)} is a pattern, not a folder", "write the pattern in path: of each table")
    return value


def _refuse_secret(url: str, store: StoreType | None) -> None:
    """Refuse a URL with a login or a query, in messages without it."""
    host = address_of(url).host
    if "@" in host and (store is not AZURE or ":" in host):
        raise MistakeError("the URL contains a login", "put login and password into the connection", code="secret")
    if "?" in url:
        hint = "put a login or a signature into the connection, and a pattern into path: of each table"
        raise MistakeError("the URL contains a query", hint, code="secret")


def _check_server(host: str, like: str) -> None:
    try:
        name, _ = host_and_port(host)
    except ValueError as error:
        raise MistakeError(f"{shown(host)} is not a valid server: {error}", like) from None
    if not re.fullmatch(r"[\w.-]+|[0-9a-f:.]+", name):
        raise MistakeError(f"{shown(host)} is not a valid server", like)


def _leads_out(path: str) -> bool:
    return path.startswith(("/", "\\")) or bool(re.match(r"[A-Za-z]:", path)) or ".." in re.split(r"[/\\]", path)
