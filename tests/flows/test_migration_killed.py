"""Migrations that are killed at any moment under 200 writes a second go on, and no row is lost or doubled."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blocks.settings import settings
from tests.databases import new_database
from tests.fakes.forked import Forks, forks_of
from tests.flows.migrating import (
    check_history,
    check_rows,
    copy_of,
    failing_plan,
    ledger,
)
from tests.tasks.ops.migration.shop import PLAN, open_shop, schema, writers

ID = "wide-order-ids"
MIGRATIONS = "tests.flows.run_migration"
ROWS = 3000

SMALL = [
    pytest.param(("manifest-after", 4), marks=pytest.mark.soak),  # one of those that are killed again and again
    ("commit-after", 2),
    ("note-after", 1),
    ("command-during", 1),
]
SMALL_BACK = [("manifest-before", 20), ("commit-after", 8)]
"""In the small form: with work in the database of which the manifest does not know, within a transaction, while a
command runs; and on the way back. Between two phases are those that are killed again and again."""


@pytest.fixture(scope="module")
def runner(running_prefect_server: str) -> Iterator[Forks]:
    """Runs migrations in forks of one process, so that each begins at once."""
    with forks_of(MIGRATIONS, PREFECT_API_URL=running_prefect_server) as forks:
        yield forks


@pytest.fixture(scope="module")
def shop_template(postgres_url: str) -> str:
    """A database with the orders of the example, to be copied."""
    dsn = new_database(postgres_url)
    open_shop(dsn, rows=ROWS)
    return dsn


class Place:
    """Where one migration after the other is run: each has a store and a database of its own."""

    def __init__(self, folder: Path, template: str, runner: Forks, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._template, self._runner, self._set = folder, template, runner, monkeypatch.setenv
        self.plan, self.undone, self.number = str(PLAN), str(failing_plan(folder)), 0
        self.dsn = ""

    def fresh(self) -> None:
        """A new store and database."""
        self.number += 1
        self.dsn = copy_of(self._template)
        self._set("SHOP_DSN", self.dsn)
        self._set("AUDIO_DIR", str(self._folder / f"store-{self.number}"))
        self._set("AGENTS_HOME", str(self._folder / f"agents-{self.number}"))
        settings.cache_clear()

    def run(self, plan: str, kill: tuple[str, int] | None = None) -> dict[str, Any]:
        """Run the migration."""
        return self._runner.run(plan=plan, kill=kill)

    def killed(self, plan: str, kill: tuple[str, int], status: str) -> None:
        """It is killed at a moment, then run again to its end, while the table is written to."""
        self.fresh()
        before = schema(self.dsn)
        with writers(self.dsn) as seen:
            assert self.run(plan, kill) == {"signal": 9}, kill
            ended = self.run(plan)
        assert ended.get("report", ended)["status"] == status, (kill, ended)
        assert not seen["failed"], (kill, seen)
        state = check_history(ID)
        check_rows(self.dsn)
        assert len(ledger(self.dsn)) == sum(_in_database(state.plan)), kill
        if status == "rolled_back":
            assert schema(self.dsn) == before, kill


def _in_database(plan: Any) -> Iterator[int]:
    """How many things a plan does by itself in the database, there and back where its last phase fails."""
    is_undone = plan.phases[-1].name == "prove"
    for phase in plan.phases:
        yield phase.action.kind in ("sql", "backfill")
        yield is_undone and not isinstance(phase.compensation, str)


@pytest.fixture
def place(tmp_path: Path, shop_template: str, runner: Forks, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Where migrations are run."""
    return Place(tmp_path, shop_template, runner, monkeypatch)


@pytest.mark.parametrize("kill", SMALL)
def test_a_migration_that_was_killed_goes_on(place: Place, kill: tuple[str, int]) -> None:
    place.killed(place.plan, kill, "done")


@pytest.mark.parametrize("kill", SMALL_BACK)
def test_a_way_back_that_was_killed_leads_to_the_first_state(place: Place, kill: tuple[str, int]) -> None:
    place.killed(place.undone, kill, "rolled_back")


AGAIN = [("manifest-before", 4), ("manifest-after", 3), ("step-before", 2), ("step-after", 1)]
"""The earliest in a run after which the next run comes further: by one move, and so each move is cut off once."""


@pytest.mark.parametrize(
    ("way", "kill"),
    [
        pytest.param(way, kill, marks=() if (way, kill[0]) == ("there", "manifest-after") else pytest.mark.soak)
        for way in ("there", "back")
        for kill in AGAIN
    ],
)
def test_a_migration_that_is_killed_again_and_again_comes_to_its_end(
    place: Place, way: str, kill: tuple[str, int]
) -> None:
    place.fresh()
    plan, status = (place.plan, "done") if way == "there" else (place.undone, "rolled_back")
    before, kills = schema(place.dsn), 0
    with writers(place.dsn) as seen:
        while "signal" in (ended := place.run(plan, kill)):
            kills += 1
            assert kills < 60
            check_history(ID)
    assert (ended["report"]["status"], seen["failed"]) == (status, [])
    assert kills >= (14 if way == "there" else 22)
    check_history(ID)
    check_rows(place.dsn)
    if way == "back":
        assert schema(place.dsn) == before
    print(way, *kill, f"{kills} kills, {seen['writes']} writes at {seen['per_s']} a second", flush=True)


def all_moments(place: Place, plan: str) -> list[tuple[str, int]]:
    """All moments of a migration that nobody kills."""
    place.fresh()
    moments: dict[str, int] = place.run(plan)["moments"]
    return [(moment, number) for moment, count in moments.items() for number in range(1, count + 1)]


@pytest.mark.soak
@pytest.mark.timeout(5400)
@pytest.mark.parametrize("way", ["there", "back"])
def test_every_moment(place: Place, way: str) -> None:
    plan, status = (place.plan, "done") if way == "there" else (place.undone, "rolled_back")
    moments = all_moments(place, plan)
    for kill in moments:
        place.killed(plan, kill, status)
        print(way, *kill, "holds", flush=True)
    print(f"{way}: {len(moments)} moments, a write every 5 ms", flush=True)


def test_of_two_runs_at_once_one_works_and_one_ends(place: Place, running_prefect_server: str, runner: Forks) -> None:
    place.fresh()
    with forks_of(MIGRATIONS, PREFECT_API_URL=running_prefect_server) as other, writers(place.dsn):
        ended: list[dict[str, Any]] = []
        both = [
            threading.Thread(target=lambda one=one: ended.append(one.run(plan=place.plan))) for one in (runner, other)
        ]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
    reports = [one["report"]["status"] for one in ended if "report" in one]
    errors = [one["error"]["code"] for one in ended if "error" in one]
    # The slower may come when all is over.
    assert reports in (["done"], ["done", "done"]) and errors in (["CONFLICT"], [])
    check_history(ID)
    check_rows(place.dsn)
    assert len(ledger(place.dsn)) == 4
