"""How a row says from which file it came, while it is staged and in the landing."""

from __future__ import annotations

from elt_factory.core.sql_text import text_literal

# no column of a source can have such a name: it holds a control character
PATH = "\x01file"
AGAIN = "\x01again"
ROW = "\x01row"
UNDECODED = "\x01undecoded"  # of a record: the columns whose bytes are not text
MET = "\x01met"  # of a record: whether it has the form of most
# in the landing's parts, and in tables that files are appended to
FILE_ID = "_file_id"


def proven_name(column: str) -> str:
    """Return what holds a column's values with their type, where the form of their records proves it."""
    return f"\x01proven {column}"


def with_path(reader: str) -> str:
    """Return a call of DuckDB's read_csv, read_json.

    Read_json_objects or read_parquet that also gives each row's file.
    """
    return f"{reader.removesuffix(')')}, filename = {text_literal(PATH)})"
