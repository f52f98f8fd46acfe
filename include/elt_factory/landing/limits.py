"""What one record and one value may be at most, on every warehouse: the least of what they take.

A load that one warehouse takes is then taken by the other; what is larger is one reject with its reason.
"""

from __future__ import annotations

RECORD_BYTES = 64 * 1024 * 1024  # a line of NDJSON
TEXT_BYTES = 16 * 1024 * 1024  # a text, and a JSON value as text: Snowflake's VARCHAR and VARIANT
BINARY_BYTES = 8 * 1024 * 1024  # Snowflake's BINARY
JSON_DEPTH = 128  # objects and arrays within each other
KEPT_RECORD_BYTES = 1024 * 1024  # a reject keeps a longer record only in part
KEPT_LINE_CHARACTERS = 10_000  # of a broken line, and of a record that is kept in part
