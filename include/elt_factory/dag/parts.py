"""The parts of a load that several tasks have read: which of them belong together, and their one landing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from elt_factory.config.models.source import Source
from elt_factory.core.disk import scratch_folder
from elt_factory.core.failures import LandingError
from elt_factory.dag.parents import ATTEMPT
from elt_factory.landing.manifest import Manifest, Owner, known_manifest
from elt_factory.landing.places import Place

SPLIT, EXTRACT = "split", "extract"  # the last part of the names of tasks
PART, PARTS = "part", "parts"  # in what the tasks return: the number of a part, and how many there are

log = logging.getLogger(__name__)


def joined_parts(context: Mapping[str, Any], extract: str, place: Place, owner: Owner, config: Source) -> Manifest:
    """Return the one landing of the parts that the extract tasks of this run have landed.

    Raises:
        LandingError: a part of the newest split was not landed, or the config has changed since.
    """
    from elt_factory.landing.joint import Joining, join_parts
    from elt_factory.landing.split import read_split

    split = context["ti"].xcom_pull(task_ids=f"{extract.removesuffix(EXTRACT)}{SPLIT}")
    # looked at before it is asked for the parts: a landing that comes later may be of newer ones
    before = known_manifest(place.below(attempt_of(split)))
    attempt, attempts = landed_parts(split, context["ti"].xcom_pull(task_ids=extract))
    divided = read_split(place, attempt)
    divided.check_config(config, owner.table)
    table, owner = config.all_tables[owner.table], replace(owner, attempt=attempt)
    with scratch_folder() as workdir:
        joining = Joining(place, owner, table, workdir, log.info, divided.existing, divided.knew_files, before)
        return join_parts(joining, attempts)


def attempt_of(split: Any) -> str:
    """Return the attempt of a load in parts, out of what the task `split` has returned.

    Raises:
        LandingError: it has returned nothing.
    """
    if not split:
        raise LandingError("no parts from the task split of this run; clear it together with this task")
    return str(split[0][ATTEMPT])


def landed_parts(split: Any, told: Any) -> tuple[str, list[str]]:
    """Return the attempt of a load in parts, and those that have landed its parts, in the order of the parts.

    Args:
        split: What the task `split` has returned.
        told: What the extract tasks have returned; of one that was mapped to a single part, that alone.
    """
    attempt, count = attempt_of(split), len(split)
    every: list[Any] = [told] if isinstance(told, Mapping) else list(told or ())
    # tasks of an earlier split of this run may have left something
    of_split = {
        int(one[PART]): str(one[ATTEMPT])
        for one in every
        if isinstance(one, Mapping) and str(one.get(ATTEMPT, "")).startswith(f"{attempt}/")
    }
    missing = [str(number) for number in range(count) if number not in of_split]
    if missing:
        raise LandingError(
            f"{len(missing)} of {count} parts are not landed: {', '.join(missing[:10])}; clear their extract tasks "
            "together with this one"
        )
    return attempt, [of_split[number] for number in range(count)]
