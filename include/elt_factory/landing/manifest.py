"""What a landing holds. It is written last and atomically: without its manifest a landing does not exist."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from elt_factory.config.values import ColumnType
from elt_factory.failures import LandingError
from elt_factory.landing.places import Place

MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True)
class LandedFile:
    """One Parquet part; `path` is relative to the landing's place."""

    path: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class LandedColumn:
    """One column of every part; `type` as ColumnType writes it."""

    name: str
    type: str

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
class Manifest:
    """One landing: its files, its exact numbers, its schema.

    `rows_read == rows + rows_rejected + rows_duplicate` holds, or there is no manifest. Bounds are text: instants in
    ISO 8601 UTC, which sorts as it counts; None where there is no such column or no row. Window ends are ISO 8601 UTC.
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

    @property
    def bytes(self) -> int:
        """Size of all parts."""
        return sum(file.bytes for file in self.files)

    @property
    def all_files(self) -> tuple[LandedFile, ...]:
        """The parts, and the rejects where there are some."""
        return (*self.files, *([self.rejects] if self.rejects else []))


def write_manifest(place: Place, manifest: Manifest) -> None:
    """Make the landing exist: the manifest appears whole or not at all, and replaces the one of an earlier try."""
    import msgspec

    place.write(MANIFEST_FILE, msgspec.json.format(msgspec.json.encode(asdict(manifest)), indent=2))


def read_manifest(place: Place) -> Manifest:
    """Read a landing's manifest and see that its files are there and whole.

    Raises:
        LandingError: no manifest, or one that cannot be read, or a file is missing or of another size.
    """
    manifest = parse_manifest(place)
    check_files(place, manifest)
    return manifest


def parse_manifest(place: Place) -> Manifest:
    """Read a landing's manifest, without a look at the files.

    Raises:
        LandingError: no manifest, or one that cannot be read.
    """
    import msgspec

    try:
        return msgspec.json.decode(place.read(MANIFEST_FILE), type=Manifest)
    except FileNotFoundError:
        raise LandingError(f"there is no landing in {place}: run the extract task first") from None
    except msgspec.DecodeError as error:
        raise LandingError(f"the manifest in {place} cannot be read: {error}; run the extract task again") from error


def check_files(place: Place, manifest: Manifest) -> None:
    """See that a landing's files are there and whole.

    Raises:
        LandingError: a file is missing or of another size.
    """
    found = place.files()
    for file in manifest.all_files:
        if file.path not in found or found[file.path].bytes != file.bytes:
            raise LandingError(
                f"the landing in {place} is not whole: {file.path} is missing or changed; run the extract task again"
            )
