"""What a format of files is: one object, `KIND`, in a module of its own.

Another package adds a format by an entry point in the group `elt_factory.formats`: its name is the `type` of `format`,
its value where the object is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elt_factory.config.models.base import require_type, require_words
from elt_factory.config.models.formats import FileFormat

if TYPE_CHECKING:
    from elt_factory.discover.found import Guess
    from elt_factory.extract.request import Spool


@dataclass(frozen=True)
class Delivered:
    """A file with something in it: what people call it, and where its bytes are, unpacked."""

    name: str
    path: Path


def _not_odd(_: Path) -> str:
    return ""


@dataclass(frozen=True)
class FormatKind:
    """All that is known of a format of files.

    Args:
        name: The `type` of `format`.
        model: Its keys in YAML.
        spooled: Makes of files what the landing reads: NDJSON, CSV or Parquet, a file for each in their order. Takes
            what is written under `format`, the files, and an empty folder for copies. It raises errors of
            `elt_factory.core.failures` that name the file; who asks adds for which table.
        endings: Endings of names by which `elt new` takes a file for one, as in ".csv".
        signs: What files of it begin with, and what they are in words: other formats say so where they meet one.
        by_line: Whether the first lines of a file are a file of it, too: of a large one `elt new` reads only those.
        odd: Why a file that is named like one is not, in a few words; "" where it may be.
        look: How `elt new` reads some files, the newest last, and what it writes under `format`; by default it reads
            them as `spooled` does without any keys.
        extra: The extra of ELT Factory that reading such files needs.
        count: How many records a file has, found in another way than by reading them; None where it cannot say. Takes
            what is written under `format`, and the file.
    """

    name: str
    model: type[FileFormat]
    spooled: Callable[[Any, Sequence[Delivered], Path], Spool]
    endings: Sequence[str] = ()
    signs: Mapping[bytes, str] = field(default_factory=dict)
    by_line: bool = False
    odd: Callable[[Path], str] = _not_odd
    look: Callable[[Sequence[Delivered], Path], tuple[Spool, Guess]] | None = None
    extra: str = ""
    count: Callable[[Any, Path], int | None] | None = None

    def __post_init__(self) -> None:
        """Refuse a format that a config could not name, or whose reference could not explain it."""
        require_type(self.model, self.name)
        require_words(self.model)
        needed = [name for name, key in self.model.model_fields.items() if name != "type" and key.is_required()]
        if self.endings and needed and self.look is None:
            raise TypeError(f"{self.name} has endings, but nothing finds out its {', '.join(needed)}: it needs look")

    def look_at(self, files: Sequence[Delivered], workdir: Path) -> tuple[Spool, Guess]:
        """Return how `elt new` reads some files, and what it writes under `format`."""
        from elt_factory.discover.found import Guess

        if self.look is not None:
            return self.look(files, workdir)
        form = self.model.model_validate({"type": self.name})
        return self.spooled(form, files, workdir), Guess(f"{{type: {self.name}}}", "from the file name")
