"""What a landing holds. It is written last and atomically: without its manifest a landing does not exist.

The file is JSON: `format`, `sha256` of the manifest's own bytes, and `manifest`. It lies in the folder of its attempt,
so that no attempt ever touches the landing of another.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass

from elt_factory.config.models.values import ColumnType
from elt_factory.core.amount import amount
from elt_factory.core.failures import LandingChangedError, LandingError
from elt_factory.landing.attempt import is_attempt
from elt_factory.landing.places import Place

MANIFEST_FILE = "manifest.json"
FORMAT = 3  # of the file; before, the file of rejects had nothing by which they are replayed
_AGAIN = "run the extract task again"


@dataclass(frozen=True)
class LandedFile:
    """One Parquet part; `path` is relative to the landing's place.

    `sha256` is of its content, in hexadecimal; `etag` is what object storage calls the object that went up.
    """

    path: str
    rows: int
    bytes: int
    sha256: str = ""
    etag: str = ""


@dataclass(frozen=True)
class LandedColumn:
    """One column of every part; `type` as ColumnType writes it.

    `form` is how the source writes the values of a key that is landed as text or bytes, where it says so.
    """

    name: str
    type: str
    form: str | None = None

    @property
    def column_type(self) -> ColumnType:
        """The type, parsed."""
        return ColumnType.parse(self.type)


@dataclass(frozen=True)
class Drift:
    """One difference between the data and the table as it is: what was found and what was done with it."""

    column: str
    type: str
    action: str  # added, widened, dropped, or rejected
    old: str | None = None  # the type before it was widened

    def __str__(self) -> str:
        was = f"{self.old} to " if self.old else ""
        return f"column {self.column} ({was}{self.type}) {self.action}"


@dataclass(frozen=True)
class Owner:
    """Whose landing it is: one attempt of one load, in one project. See `elt_project` in docs/guides/operations.md."""

    project: str
    source: str
    table: str
    load_id: str
    attempt: str

    def __str__(self) -> str:
        return f'attempt {self.attempt} of {self.source}.{self.table}, load {self.load_id}, project "{self.project}"'


@dataclass(frozen=True)
class Replays:
    """Which rejects a landing brings again: those of one commit of a load, by their numbers, the first one excluded."""

    load_id: str
    turn: int
    after: int
    upto: int
    rejected_at: str


@dataclass(frozen=True)
class Forgotten:
    """A key whose records were removed from the landing after it was written, by its hash, and how many they were."""

    sha256: str
    rows: int


@dataclass(frozen=True)
class Manifest:
    """One landing: its files, its exact numbers, its schema.

    `rows_read == rows + rows_rejected + rows_duplicate + rows_filtered` holds, or there is no manifest. Bounds are
    text: instants in ISO 8601 UTC, which sorts as it counts; None where there is no such column or no row. Window ends
    are ISO 8601 UTC.
    """

    source: str
    table: str
    load_id: str
    window_start: str
    window_end: str
    columns: tuple[LandedColumn, ...]
    files: tuple[LandedFile, ...]
    rejects: LandedFile | None
    rows_read: int
    rows: int
    rows_rejected: int
    rows_duplicate: int
    values_discarded: int
    drift: tuple[Drift, ...]
    cursor_column: str | None
    cursor_type: str | None
    cursor_min: str | None
    cursor_max: str | None
    business_date_min: str | None
    business_date_max: str | None
    started_at: str
    attempt: str
    project: str = ""
    rows_null_cursor: int = 0
    rows_filtered: int = 0  # good rows that do not meet the condition of the table
    null_cursor: str | None = None  # what a database was asked for: include or ignore
    ledger: LandedFile | None = None  # what the load adds to the ledger of files
    keys: LandedFile | None = None  # of all rows of the source, where the load compares them
    key_columns: tuple[LandedColumn, ...] = ()
    keys_read: int | None = None  # None: the load compares no keys
    keys_rejected: int = 0  # keys that could not be read: then nothing is known to be gone
    delta_token: str | None = None  # what the API gave to ask with the next time
    delta_token_after: str | None = None  # what it was asked with; None: for all it has
    cursor_after: str | None = None  # a cursor that is not a time was read from here on; None: from its beginning
    replays: Replays | None = None  # the records are rejects of another load
    parts: tuple[str, ...] = ()  # of a load in parts: the attempts that have landed them
    forgotten: tuple[Forgotten, ...] = ()  # what `elt forget` has removed, which no number here counts any more

    @property
    def owner(self) -> Owner:
        """Whose landing this is."""
        return Owner(self.project, self.source, self.table, self.load_id, self.attempt)

    @property
    def null_cursor_words(self) -> str:
        """What was done with the rows without a cursor value, for people."""
        done = {"ignore": "skipped", "include": "read with every load"}.get(self.null_cursor or "", "loaded unchanged")
        rows = amount(self.rows_null_cursor, "row has", "rows have")
        return f"{rows} no value in the cursor {self.cursor_column}: {done}"

    @property
    def what_to_clear(self) -> str:
        """The task that has to run again for the source to be asked from another beginning."""
        return "the task split" if self.parts else "the extract task"

    @property
    def bytes(self) -> int:
        """Size of all parts."""
        return sum(file.bytes for file in self.files)

    @property
    def all_files(self) -> tuple[LandedFile, ...]:
        """The parts, the rejects, the entries for the ledger of files and the keys, where there are some."""
        return (*self.files, *(file for file in (self.rejects, self.ledger, self.keys) if file))


def write_manifest(place: Place, manifest: Manifest) -> None:
    """Make an attempt's landing exist, below the place of its load: the manifest appears whole or not at all."""
    place.below(manifest.attempt).write(MANIFEST_FILE, _content(manifest))


def exchange_manifest(place: Place, before: Manifest | None, manifest: Manifest) -> None:
    """Write a manifest in place of the one that was there, or of none that can be read.

    Raises:
        LandingChangedError: another one is there by now, which stays.
    """
    there = place.below(manifest.attempt)

    def exchanged(content: bytes) -> bytes:
        if _readable(there, content) != before:
            raise LandingChangedError(f"another task has changed the landing {there} meanwhile; a retry looks again")
        return _content(manifest)

    there.exchange(MANIFEST_FILE, exchanged)


def _content(manifest: Manifest) -> bytes:
    import msgspec

    body = msgspec.json.format(msgspec.json.encode(asdict(manifest)), indent=2)
    head = f'{{"format": {FORMAT}, "sha256": "{hashlib.sha256(body).hexdigest()}", "manifest": '
    return head.encode() + body + b"}\n"


def read_manifest(place: Place, owner: Owner) -> Manifest:
    """Read the manifest of one attempt below the place of its load, and see that its files are there and whole.

    Raises:
        LandingError: no manifest, one that is damaged or another's, or a file is missing or of another size.
    """
    if not is_attempt(owner.attempt):
        raise LandingError(f"{owner.attempt!r} is not a valid attempt name; {_AGAIN}")
    manifest = parse_manifest(place.below(owner.attempt))
    if manifest.owner != owner:
        raise LandingError(
            f"landing {place} belongs to another owner: written by {manifest.owner}, expected {owner}; {_AGAIN}, "
            "and make sure that no two projects share an elt_project and a landing"
        )
    check_files(place, manifest)
    return manifest


def parse_manifest(place: Place) -> Manifest:
    """Read the manifest in the folder of an attempt, without a look at whose it is and at its files.

    Raises:
        LandingError: no manifest, or one that is damaged.
    """
    try:
        return _parsed(place, place.read(MANIFEST_FILE))
    except FileNotFoundError:
        raise LandingError(f"no landing in {place}: run the extract task first") from None


def known_manifest(place: Place) -> Manifest | None:
    """Return the manifest in the folder of an attempt; None where there is none, or one that cannot be read."""
    try:
        return parse_manifest(place)
    except LandingError:
        return None


def _readable(place: Place, content: bytes) -> Manifest | None:
    try:
        return _parsed(place, content)
    except LandingError:
        return None


def _parsed(place: Place, content: bytes) -> Manifest:
    import msgspec

    try:
        return msgspec.json.decode(_proven_body(place, content), type=Manifest)
    # deeply nested JSON is a RecursionError, text that is not UTF-8 a ValueError
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise LandingError(f"cannot read the manifest in {place}: {error}; {_AGAIN}") from error


def _proven_body(place: Place, content: bytes) -> bytes:
    """Return the bytes of the manifest itself, which are those that were written."""
    import msgspec

    parts = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    if set(parts) != {"format", "sha256", "manifest"} or bytes(parts["format"]) != str(FORMAT).encode():
        raise LandingError(
            f"the manifest in {place} is damaged or from another version of ELT Factory (expected format {FORMAT}); "
            f"{_AGAIN}"
        )
    body = bytes(parts["manifest"])
    if msgspec.json.decode(parts["sha256"], type=str) != hashlib.sha256(body).hexdigest():
        raise LandingError(
            f"the manifest in {place} is damaged: it has changed since the extract task wrote it; {_AGAIN}"
        )
    return body


def check_files(place: Place, manifest: Manifest) -> None:
    """See that a landing's files are there and whole, as far as their names, sizes and ETags say it.

    Raises:
        LandingError: a file is missing, of another size, or another object than the one that went up.
    """
    found = place.below(manifest.attempt).files()
    for file in manifest.all_files:
        entry = found.get(file.path.removeprefix(f"{manifest.attempt}/"))
        if entry is None or entry.bytes != file.bytes or (file.etag and entry.etag and entry.etag != file.etag):
            raise LandingError(f"landing {place} is incomplete: {file.path} is missing or changed; {_AGAIN}")
