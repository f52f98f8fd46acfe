"""CSV in DuckDB: files as a relation of text, and the lines that it could not read."""

from __future__ import annotations

from collections.abc import Sequence

from elt_factory.config.models.formats import CsvFormat
from elt_factory.core.sql_text import LITERAL_PATHS, file_list, text_list, text_literal

# DuckDB takes 16 times as much memory for files that it decodes to UTF-8 first
_CSV_LINE_BYTES = {"utf-8": 64 * 1024 * 1024, "latin-1": 4 * 1024 * 1024, "utf-16": 4 * 1024 * 1024}
_LEAST_CSV_BUFFER, _MOST_CSV_BUFFER = 4 * 1024 * 1024, 1024 * 1024 * 1024
_BUFFERED_RECORDS = 4  # the longest one in UTF-8, where latin-1 has half as many bytes, and what is around it
NO_WORD = "\x01"  # no field of a CSV file is this text

# the CSV lines that DuckDB could not read, each once; an empty line before one is not part of it
_LINE = "ltrim(e.csv_line, chr(10) || chr(13))"
_TOO_MANY = "e.error_type = 'TOO MANY COLUMNS'"
BROKEN = (
    "SELECT s.file_path AS file, e.line, "
    f"min(e.line_byte_position + strlen(e.csv_line) - strlen({_LINE})) - 1 AS begins, "
    f"CASE WHEN bool_and({_TOO_MANY}) THEN max_by(e.error_message, e.column_idx) "
    "ELSE min_by(e.error_message, e.byte_position) END AS message, "
    f"any_value({_LINE}) AS text, bool_and({_TOO_MANY}) AS too_many "
    "FROM reject_errors AS e JOIN reject_scans AS s USING (scan_id, file_id) GROUP BY e.scan_id, s.file_path, e.line"
)
# lines with more fields than columns that DuckDB is not to see, and what it sees in their place
NO_SURPLUS = (
    "CREATE OR REPLACE TABLE surplus "
    "(file VARCHAR, line BIGINT, begins BIGINT, message VARCHAR, text VARCHAR, replaced VARCHAR)"
)


def read(files: Sequence[str], header: Sequence[str], csv: CsvFormat, longest: int | None = None) -> str:
    """CSV files of one header as a relation of text; lines that cannot be read go to the table reject_errors.

    Args:
        files: The files.
        header: The names of their columns.
        csv: How they are written.
        longest: Bytes of the longest record, where that is known. DuckDB holds whole buffers, and loses a record that
            is longer than one; its own are of a gigabyte for records of 64 MB.
    """
    columns = ", ".join(f"{text_literal(name)}: 'VARCHAR'" for name in header)
    return (
        f"read_csv({file_list(files)}, {LITERAL_PATHS}, auto_detect = false, header = {str(csv.header).lower()}, "
        f"columns = {{{columns}}}, compression = 'none', delim = {text_literal(csv.delimiter)}, "
        f"quote = {text_literal(csv.quote)}, escape = {text_literal(csv.quote)}, "
        f"nullstr = {text_list(csv.null_values or (NO_WORD,))}, allow_quoted_nulls = false, "
        f"encoding = {text_literal(csv.encoding)}, "
        f"strict_mode = true, store_rejects = true, rejects_limit = 0, {_sizes(csv, longest)})"
    )


def buffer_bytes(longest: int) -> int:
    """Return the size of the buffers in which CSV is read, for the longest record in bytes."""
    return min(max(_LEAST_CSV_BUFFER, _BUFFERED_RECORDS * longest), _MOST_CSV_BUFFER)


def _sizes(csv: CsvFormat, longest: int | None) -> str:
    most = _CSV_LINE_BYTES[csv.encoding]
    if longest is None:
        return f"max_line_size = {most}"
    buffer = buffer_bytes(longest)
    return f"max_line_size = {min(most, buffer)}, buffer_size = {buffer}"
