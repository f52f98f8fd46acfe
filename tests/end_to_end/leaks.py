"""Where a marked secret has gone: every file, also packed ones, every table, and every text that was printed.

A secret is looked for as it is and as URLs, JSON, HTML and base64 have it. The forms are made here anew: what masks
them in the product has a list of its own.
"""

import base64
import gzip
import html
import json
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, quote_plus

import duckdb

_SQLITE = b"SQLite format 3\x00"


def marked(name: str) -> str:
    """A secret that is nothing else, with characters that other notations change."""
    return f"mark/{name}+s3cr3t&'x'"


def forms(secret: str) -> set[bytes]:
    """The ways in which a secret may be written."""
    texts = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), html.escape(secret)}
    texts |= {json.dumps(secret)[1:-1], repr(secret)[1:-1], secret.replace("'", "''")}
    data = secret.encode()
    for before in range(3):
        # within a longer text in base64 the letters at both ends are shared with what stands there
        coded = base64.b64encode(b"-" * before + data).decode()[(0, 2, 3)[before] : (before + len(data)) * 8 // 6]
        texts |= {coded, coded.replace("+", "-").replace("/", "_")}
    return {text.encode() for text in texts}


class Search:
    """Looks for secrets by their names."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._forms = {name: forms(secret) for name, secret in secrets.items()}

    def text(self, where: str, text: str | bytes) -> list[str]:
        """The secrets in a text, each with where it is."""
        data = text.encode() if isinstance(text, str) else text
        return [f"{name} in {where}" for name, wanted in self._forms.items() if any(form in data for form in wanted)]

    def files(self, folders: Sequence[Path], but: Sequence[Path] = ()) -> list[str]:
        """The secrets in all files below some folders, and in what packed files hold."""
        found = []
        for folder in folders:
            for file in sorted(folder.rglob("*")):
                if file.is_file() and not file.is_symlink() and not any(file.is_relative_to(one) for one in but):
                    for where, data in _contents(file):
                        found += self.text(where, data)
        return found

    def tables(self, opened: duckdb.DuckDBPyConnection, where: str) -> list[str]:
        """The secrets in every table of a DuckDB database, whose file is packed."""
        found = []
        for schema, table in opened.execute(
            "select table_schema, table_name from information_schema.tables"
        ).fetchall():
            rows = opened.execute(f'select to_json(t)::varchar from "{schema}"."{table}" t').fetchall()
            found += self.text(f"{where} {schema}.{table}", "\n".join(row[0] for row in rows))
        return found

    def database(self, file: Path) -> list[str]:
        """The secrets in a DuckDB file."""
        with duckdb.connect(str(file), read_only=True) as opened:
            return self.tables(opened, file.name)


def _contents(file: Path) -> Iterator[tuple[str, bytes]]:
    """What a file holds: as it is, and unpacked."""
    if file.suffix == ".parquet":
        rows = duckdb.sql(f"select to_json(t)::varchar from read_parquet('{file}') t").fetchall()
        yield f"{file} (rows)", "\n".join(row[0] for row in rows).encode()
    data = _bytes(file)
    yield str(file), _dumped(file) if data.startswith(_SQLITE) else data
    if data[:2] == b"\x1f\x8b":
        yield f"{file} (unpacked)", gzip.decompress(data)


def _bytes(file: Path) -> bytes:
    """The bytes of a file.

    Those of a database, and of what SQLite keeps beside it, are read by another process: one that closes a file of a
    database that it has open loses its locks on that. The next process to leave the database then takes itself for the
    last, and removes what was written and not yet merged.
    """
    if ".db" in file.name:
        return subprocess.run(["cat", str(file)], check=True, capture_output=True).stdout
    return file.read_bytes()


def _dumped(file: Path) -> bytes:
    """All rows of a SQLite database."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as opened:
        opened.text_factory = bytes
        names = [name.decode() for (name,) in opened.execute("select name from sqlite_master where type = 'table'")]
        rows = (row for name in names for row in opened.execute(f'select * from "{name}"'))
        return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)
