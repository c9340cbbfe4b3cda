"""Effects of which nobody knows whether they happened: their run was killed or stopped in the middle of them."""

from collections.abc import Collection

from blocks.effects import Effect, EffectLedger
from blocks.store.files import Files


def in_doubt(ledger: EffectLedger, files: Files) -> tuple[Effect, ...]:
    """Effects that began and did not end, and whose run no process is at, oldest first.

    Args:
        ledger: The effects.
        files: The store, in which a process that is at a run holds its lock.

    Raises:
        StoreFailed: a record is damaged.
    """
    begun = ledger.begun()
    at_work = {run_id: _is_at_work(files, run_id) for run_id in {run_of(one.effect_id) for one in begun}}
    return tuple(one for one in begun if not at_work[run_of(one.effect_id)])


def in_doubt_of(ledger: EffectLedger, files: Files, run_ids: Collection[str]) -> tuple[Effect, ...]:
    """Those of `in_doubt` that belong to some runs. Raises as that."""
    return tuple(one for one in in_doubt(ledger, files) if run_of(one.effect_id) in run_ids)


def ways_out(effect_id: str) -> str:
    """How a person says what became of an effect in doubt."""
    return (
        f"`c500 effects show {effect_id}` tells what it is; then `c500 effects settle {effect_id}` where it happened, "
        f"`c500 effects release {effect_id}` where it did not"
    )


def run_of(effect_id: str) -> str:
    """The run that an effect belongs to; its id is `run_id/call_id`."""
    return effect_id.partition("/")[0]


def _is_at_work(files: Files, run_id: str) -> bool:
    with files.lock(f"agents/run/{run_id}", wait=False) as alone:
        return not alone
