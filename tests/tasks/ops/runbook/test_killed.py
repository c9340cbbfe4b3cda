"""A runbook that is killed at any moment goes on: no step with an effect is done twice."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.forked import Forks, forks_of
from tests.tasks.ops.runbook.conftest import Place

BOOK = """
steps:
  - name: look
    exec: [RECORD, look]
    read_only: true
    parse: [{set: seen, line: 0}]
  - name: agree
    approve: "Go on with {{ seen }}?"
  - name: decide
    if: seen == 'look'
    then:
      - name: effect
        exec: [RECORD, effect, "{{ seen }}"]
        parse: [{set: given, line: 0}]
  - name: both
    parallel:
      - - {name: left, exec: [RECORD, left]}
      - - {name: right, exec: [RECORD, right], repeatable: true}
  - name: tell
    notify: {subject: done}
"""
ONCE = ("effect", "left")
MANIFESTS, LEDGER, COMMANDS = 17, 10, 4

SMALL = [
    ("manifest-before", 2),
    ("ledger-after", 3),
    ("command-before", 2),
    ("command-after", 2),
    ("manifest-after", 9),
]
ALL = [
    *((f"manifest-{when}", number) for when in ("before", "after") for number in range(1, MANIFESTS + 1)),
    *((f"ledger-{when}", number) for when in ("before", "after") for number in range(1, LEDGER + 1)),
    *((f"command-{when}", number) for when in ("before", "after") for number in range(1, COMMANDS + 1)),
]
POINTS = [
    pytest.param(*point, id=f"{point[0]}-{point[1]}", marks=() if point in SMALL else pytest.mark.soak) for point in ALL
]


@pytest.fixture(scope="module")
def runner() -> Iterator[Forks]:
    """Runs runbooks in forks of one process, so that each begins at once."""
    with forks_of("tests.tasks.ops.runbook.run_killed") as forks:
        yield forks


def ran(runner: Forks, folder: Path, kill: tuple[str, int] | None = None) -> dict[str, Any]:
    """Run the runbook of a folder, killed at a moment or not; its status, or the signal."""
    return runner.run(folder=str(folder), kill=kill)


@pytest.mark.parametrize("beyond", [("manifest-before", MANIFESTS + 1), ("ledger-before", LEDGER + 1)])
def test_unkilled_all_is_done_once_and_there_are_no_more_moments(
    place: Place, runner: Forks, beyond: tuple[str, int]
) -> None:
    place.write(BOOK)
    assert ran(runner, place.folder, beyond) == {"status": "done", "why": ""}
    assert sorted(words[0] for words in place.told) == ["effect", "left", "look", "right"]


@pytest.mark.parametrize(("moment", "number"), POINTS)
def test_a_killed_run_goes_on_and_repeats_no_effect(place: Place, runner: Forks, moment: str, number: int) -> None:
    place.write(BOOK)
    assert ran(runner, place.folder, (moment, number)) == {"signal": 9}
    ended = ran(runner, place.folder)
    again = ran(runner, place.folder)
    times = Counter(words[0] for words in place.told)
    told = (place.folder / "told.txt").read_text().split() if (place.folder / "told.txt").exists() else []
    assert all(times[name] <= 1 for name in ONCE), times
    assert len(told) <= 1
    assert ended["status"] in ("done", "in_doubt"), ended
    assert again["status"] == ended["status"]
    if ended["status"] == "done":
        assert times.keys() == {"look", "effect", "left", "right"}
    else:
        assert "settled" in ended["why"] or "its end is not known" in ended["why"]
