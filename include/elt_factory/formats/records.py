"""Files whose records a format reads itself: NDJSON for the landing, and rejects for what is not a record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from elt_factory.extract.request import Spool
from elt_factory.formats.kind import Delivered

if TYPE_CHECKING:
    from elt_factory.config.models.values import ColumnType

_KEPT_CHARACTERS = 10_000  # of a record that cannot be read


@dataclass(frozen=True)
class Bad:
    """What is not a record: why, with its place in the file, and what is written there."""

    why: str
    raw: str


def spool_of(
    files: Sequence[Delivered],
    workdir: Path,
    read: Callable[[Delivered], Iterable[bytes | Bad]],
    types: Mapping[str, ColumnType] | None = None,
    *,
    texts: bool = False,
) -> Spool:
    """Return the records of files as NDJSON, counted.

    Args:
        files: The files.
        workdir: An empty folder.
        read: Yields each record of a file, as a JSON object on one line or as what is wrong with it.
        types: What the files themselves say of their columns.
        texts: Whether the values are texts, whose types are found in them.
    """
    import msgspec

    spooled, rejects, count = list[Path](), workdir / "rejects.ndjson", 0
    with rejects.open("wb") as broken:
        for number, file in enumerate(files):
            # the landing says the file's name where a line is not good
            target = workdir / "records" / f"{number:06}" / Path(file.name).name
            target.parent.mkdir(parents=True)
            spooled.append(target)
            with target.open("wb") as lines:
                for record in read(file):
                    count += 1
                    if isinstance(record, Bad):
                        kept = msgspec.json.encode({"line": record.raw[:_KEPT_CHARACTERS]}).decode()
                        reject = {"reason": f"{file.name} {record.why}", "record": kept, "file": str(target)}
                        broken.write(msgspec.json.encode(reject) + b"\n")
                    else:
                        lines.write(record + b"\n")
    found = rejects if rejects.stat().st_size else None
    return Spool("ndjson", tuple(spooled), count, types or {}, rejects=found, texts=texts)
