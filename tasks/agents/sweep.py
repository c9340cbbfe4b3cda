"""The parts of housekeeping, each a function of a place and a number of seconds."""

from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from blocks.effects import EffectLedger
from blocks.store.files import Files
from blocks.trash import Trash, Trashed
from tasks.agents.disused import TRASH, Gone, discard_workspaces, own_folder, remove_folders, trouble
from tasks.agents.doubts import in_doubt
from tasks.agents.retired import retire

if TYPE_CHECKING:
    from blocks.approvals import ApprovalRequest
    from blocks.reviews import Proposal

__all__ = [
    "discard_workspaces",
    "effects_in_doubt",
    "forget_effects",
    "purge_approvals",
    "purge_reviews",
    "purge_trash",
    "remove_folders",
    "retire_runs",
]

EFFECTS = "effects"


def purge_trash(home: Path, older_than_s: float, held: Collection[str] = ()) -> Gone:
    """Delete for good what has been in the trash for longer; `home` is AGENTS_HOME. Raises as `Trash.purge`.

    What lay in the workspace of a run or conversation that is on hold stays.
    """
    if own_folder(home, TRASH) is None:
        return Gone()

    def keep(trashed: Trashed) -> bool:
        return not set(held).isdisjoint((*Path(trashed.root).parts, *Path(trashed.name).parts))

    gone = Trash(home / TRASH).purge(older_than_s, keep)
    return Gone(count=len(gone), size_bytes=sum(one.size_bytes for one in gone))


def forget_effects(home: Path, older_than_s: float, held: Collection[str] = ()) -> Gone:
    """Forget effects that ended before so many seconds; those in doubt, and of runs on hold, are kept.

    Raises `StoreFailed`, `NotAllowed`.
    """
    if (folder := own_folder(home, EFFECTS)) is None:
        return Gone()
    before = _sizes(folder)
    count = EffectLedger(folder).purge(older_than_s, lambda effect_id: effect_id.split("/")[0] in held)
    return Gone(count=count, size_bytes=sum(size for path, size in before.items() if not path.exists()))


def effects_in_doubt(home: Path, files: Files) -> tuple[str, ...]:
    """Ids of effects of which nobody knows whether they happened, oldest first. Raises `StoreFailed`, `NotAllowed`."""
    if (folder := own_folder(home, EFFECTS)) is None:
        return ()
    return tuple(one.effect_id for one in in_doubt(EffectLedger(folder), files))


def retire_runs(
    home: Path, files: Files, ended_s: float, begun_s: float, now: datetime, held: Collection[str] = ()
) -> Gone:
    """Retire runs that are old enough, so that they cannot be gone on with; see `retire`."""
    gone = Gone()
    for one in retire(files, home, ended_s, begun_s, now, held):
        gone += Gone(count=1) if isinstance(one, str) else trouble(one)
    return gone


def purge_approvals(files: Files, older_than_s: float, now: datetime, held: Collection[str] = ()) -> Gone:
    """Delete requests that were decided longer ago, with what was written down of telling people of them.

    Those of runs and persons on hold stay.
    """
    from blocks.approvals import open_approvals
    from blocks.approvals.records import Records
    from blocks.escalation.state import Escalation

    told = Records(files, "escalations", Escalation, kind="escalation", listing="c500 approve list")

    def keep(request: "ApprovalRequest") -> bool:
        return not set(held).isdisjoint((request.run_id, *request.askers))

    purged = open_approvals(files).purge(older_than_s, now, also=told.remove, keep=keep)
    return Gone(count=len(purged.ids), size_bytes=purged.size_bytes)


def purge_reviews(files: Files, older_than_s: float, now: datetime, held: Collection[str] = ()) -> Gone:
    """Delete proposals that were answered longer ago; those of runs and persons on hold stay."""
    from blocks.reviews import open_reviews

    def keep(proposal: "Proposal") -> bool:
        return not set(held).isdisjoint((proposal.run_id, proposal.proposer, proposal.begun_by))

    purged = open_reviews(files).purge(older_than_s, now, keep=keep)
    return Gone(count=len(purged.ids), size_bytes=purged.size_bytes)


def _sizes(folder: Path) -> dict[Path, int]:
    """The sizes of all files in a folder, in bytes; no link is followed."""
    sizes: dict[Path, int] = {}
    for path in folder.rglob("*"):
        try:
            sizes[path] = path.lstat().st_size if path.is_file() and not path.is_symlink() else 0
        except FileNotFoundError:
            continue
    return sizes
