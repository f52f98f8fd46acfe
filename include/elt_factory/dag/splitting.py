"""The tasks of a table that is spread over several of them: `split`, which divides it, and an `extract` for each part.

Airflow maps `extract` over what `split` returns. Each part is retried alone, and reads what the split gave it; the load
takes all parts together. See `elt_factory.landing.joint`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from elt_factory.config.models.source import Source
from elt_factory.core.disk import scratch_folder
from elt_factory.dag.operators import Begun, ExtractOperator
from elt_factory.dag.parents import ATTEMPT
from elt_factory.dag.parts import EXTRACT, PART, SPLIT
from elt_factory.dag.pods import pod_of
from elt_factory.dag.retry import worker_given_back
from elt_factory.dag.runtime import Run, landing_place
from elt_factory.landing.places import Place

if TYPE_CHECKING:
    from airflow.sdk.definitions.mappedoperator import MappedOperator

SAYS = "says"
_MOST_SAID = 200  # the database of Airflow has room for 250 characters


class SplitOperator(ExtractOperator):
    """Divide what a load reads into parts, once: a part that is tried again reads the same."""

    first_step = SPLIT

    def work(self, run: Run, context: Mapping[str, Any]) -> Any:
        """Keep the parts next to the landings, and return one mapping for each extract task."""
        from elt_factory.landing.split import SplitLoad, config_digest, write_split
        from elt_factory.sources.read import parts

        self.dismiss_if_asked(run, context)
        place = landing_place(self.config.name, self.table).below(run.load_id(self.table))
        begun = self.begin(run, place)
        with scratch_folder() as workdir, worker_given_back(context, self.log.info):
            most = self.spec.in_parts.tasks if self.spec.in_parts else 1
            found = parts(self.request(run, begun, workdir), most)
        digest, knew_files = config_digest(self.config, self.table), bool(begun.ledger and begun.ledger.files)
        now = begun.clock.now()
        write_split(place, SplitLoad(begun.attempt, begun.existing, begun.cursor, found, digest, knew_files, now))
        for number, part in enumerate(found):
            self.log.info("%s.%s: part %s: %s", self.config.name, self.table, number, part.says)
        self.told = f"{len(found)} part{'' if len(found) == 1 else 's'}"
        return [
            {PART: number, SAYS: shown(part.says), ATTEMPT: begun.attempt.name} for number, part in enumerate(found)
        ]

    def get_openlineage_facets_on_complete(self, _: Any) -> None:
        """Return nothing: no row is read here."""


def shown(says: str) -> str:
    """Return what a part says, as the database of Airflow can keep it: of a long name its end."""
    text = says.encode(errors="replace").decode()
    return text if len(text) <= _MOST_SAID else f"{text[:40]}...{text[43 - _MOST_SAID :]}"


class PartOperator(ExtractOperator):
    """Read and land one part of a load. A mapped task is stored with its arguments: the config is its DAG's."""

    template_fields = ()

    def __init__(self, *, table: str, part: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(config=kwargs["dag"].config, table=table, **kwargs)
        self.part = part

    def work(self, run: Run, context: Mapping[str, Any]) -> dict[str, Any]:
        """Say which part it is, too."""
        self.log.info("%s.%s: part %s: %s", self.config.name, self.table, self.part[PART], self.part[SAYS])
        return {**super().work(run, context), PART: self.part[PART]}

    def begin(self, run: Run, place: Place) -> Begun:  # noqa: ARG002
        """Return what the split has kept for all parts, and a try of this one."""
        from elt_factory.landing.split import read_split

        split = read_split(place, str(self.part[ATTEMPT]))
        split.check_config(self.config, self.table)
        what = split.parts[int(self.part[PART])].what
        return Begun(split.attempt.of_part(), split.clock(place), split.existing, split.cursor, part=what)


def split_extract(config: Source, table: str) -> MappedOperator:
    """Return the mapped task that reads the parts of a table, after the one that divides it."""
    spec = config.tables[table].in_parts
    pool = {"pool": spec.pool} if spec and spec.pool else {}
    split = SplitOperator(task_id=SPLIT, config=config, table=table)
    extract = PartOperator.partial(
        task_id=EXTRACT,
        table=table,
        map_index_template="{{ task.part.says }}",
        **pool,
        **pod_of(config.pods, "extract"),
    )
    return extract.expand(part=split.output)
