"""How long the proof may take: bounded for every change, as long as `ELT_PROOF` says else."""

import os

from hypothesis import HealthCheck, Phase, settings

EXAMPLES = int(os.environ.get("ELT_PROOF", "0"))  # sequences for each kind of table
SHRINK = "ELT_PROOF_SHRINK" in os.environ  # a failure as short as can be: some minutes
BLIND = "ELT_PROOF_BLIND" in os.environ  # look for the planted faults without their stories: does chance find them?
BOUNDED = 2
STEPS = 10


def bounded(examples: int = BOUNDED) -> settings:
    """So many sequences, the same ones every time."""
    return settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink) if SHRINK else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )


def budget() -> settings:
    """The bounded form, or as many as are asked for: longer ones, and new ones every time."""
    if not EXAMPLES:
        return bounded()
    return settings(bounded(EXAMPLES), stateful_step_count=2 * STEPS, derandomize=False, print_blob=True)
