"""XML: the elements at a path are the records, read as a stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from elt_factory.config.models.formats import FileFormat
from elt_factory.config.models.schema_patterns import NO_TEMPLATE
from elt_factory.config.models.values import Text
from elt_factory.formats.kind import Delivered, FormatKind

if TYPE_CHECKING:
    from elt_factory.extract.request import Spool


class XmlFormat(FileFormat):
    """XML documents. Attributes and elements of a record are its columns; namespaces are left out of their names."""

    schema_patterns: ClassVar[Mapping[str, Sequence[str]]] = {"records": (NO_TEMPLATE,)}

    type: Literal["xml"]
    records: Text = Field(
        description="Path to the elements that are the records, from the root, by their names.",
        examples=["catalog.book"],
    )
    lists: tuple[Text, ...] = Field(
        (),
        description=(
            "Names of elements within a record that are lists even where there is only one. By default, an element is "
            "a list where it is repeated."
        ),
        examples=[["author"]],
    )


def _spooled(form: XmlFormat, files: Sequence[Delivered], workdir: Path) -> Spool:
    from elt_factory.formats.records import spool_of
    from elt_factory.formats.xml_stream import records

    path = form.records.split(".")
    return spool_of(files, workdir, lambda file: records(file.path, file.name, path, form.lists), texts=True)


KIND = FormatKind(name="xml", model=XmlFormat, spooled=_spooled)
