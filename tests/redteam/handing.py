"""What comes back of a run's hand-off to a person, by the command and by other ways."""

from collections.abc import Callable
from datetime import UTC, datetime

from blocks.errors import C500Error
from blocks.settings import settings
from blocks.store import open_store
from blocks.store.files import Files
from blocks.switches import FOLDER, Switch, open_switches
from tasks.agents.team.handoff import HANDOFFS, HandBack, HandOff, HandOffs, handoff_id
from tests.redteam.case import RunCase
from tests.redteam.parts import Handed
from tests.redteam.world import World

ANOTHER = "00000000000000ae"
"""A run that somebody has handed back to before."""


def answer(case: RunCase, world: World, run_id: str) -> None:
    """Everybody answers what the run has handed off; then it may be stopped."""
    files = open_store()
    [given] = HandOffs(files).waiting(run_id)
    for one in case.handed:
        said = Handed.model_validate(world.filled(one.model_dump()))
        if said.forgery:
            FORGERIES[said.forgery](files, given, said)
        else:
            _by_command(files, given, said)
    if case.stopped:
        switches = open_switches("", settings().agents_home / FOLDER)
        switches.set(Switch(scope="run", name=run_id, by="zoe", at=datetime.now(UTC), reason="enough"))


def _by_command(files: Files, given: HandOff, said: Handed) -> None:
    to = given.handoff_id if said.to == "own" else handoff_id(given.run_id, "another call")
    refused = None
    try:
        HandOffs(files).answer(_back(said, to))
    except C500Error as error:
        refused = error.code
    assert refused == said.refused, f"the answer of {said.by}"


def _back(said: Handed, to: str) -> HandBack:
    return HandBack(
        handoff_id=to, by=said.by, did=said.did, answer=said.answer, changes=said.changes, at=datetime.now(UTC)
    )


def _of_another_run(files: Files, given: HandOff, said: Handed) -> None:
    """The genuine answer to what another run has handed off is put under this one."""
    handoffs = HandOffs(files)
    other = given.model_copy(update={"handoff_id": handoff_id(ANOTHER, "call"), "run_id": ANOTHER})
    handoffs.answer(_back(said, handoffs.give(other).handoff_id))
    files.put_bytes(
        f"{HANDOFFS}/{given.handoff_id}/back.json", files.read_bytes(f"{HANDOFFS}/{other.handoff_id}/back.json")
    )


def _with_a_profile(files: Files, given: HandOff, said: Handed) -> None:
    text = _back(said, given.handoff_id).model_dump_json().replace("{", '{"profile":"development",', 1)
    files.put_bytes(f"{HANDOFFS}/{given.handoff_id}/back.json", text.encode())


def _nobody(files: Files, given: HandOff, said: Handed) -> None:
    text = _back(said, given.handoff_id).model_dump_json().replace(f'"by":"{said.by}"', '"by":""')
    files.put_bytes(f"{HANDOFFS}/{given.handoff_id}/back.json", text.encode())


FORGERIES: dict[str, Callable[[Files, HandOff, Handed], None]] = {
    "the answer to another run": _of_another_run,
    "an answer with a profile": _with_a_profile,
    "an answer by nobody": _nobody,
}
