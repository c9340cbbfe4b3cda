"""`c500 data`: what is kept about a person or a job is shown, held, exported, erased."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from blocks.errors import BadInput, NotFound
from blocks.store import open_store
from deployments.cli import app, data
from tasks.personal_data.inventory import inventory_markdown
from tasks.personal_data.world import open_world
from tests.tasks.personal_data.planted import Person, bytes_with, plant

assert data.commands


def c500(*arguments: str) -> Result:
    """Run a command in this process; what it raises is in `exception`."""
    return CliRunner().invoke(app, ["data", *arguments])


@pytest.fixture
def anna(prefect_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Person:
    """Someone with data in every place; flows run in this process, on the server of the tests."""
    from contextlib import nullcontext

    from deployments.cli import session

    assert prefect_server
    monkeypatch.setattr(session, "use_server", nullcontext)
    one = Person(f"anna-{abs(hash(tmp_path))}")
    with open_world() as world:
        plant(world, one)
    return one


def test_what_is_held_is_listed_until_it_is_released() -> None:
    assert c500("hold", "--person", "ann", "--reason", "case 7").exit_code == 0
    (held,) = json.loads(c500("holds", "--json").stdout)
    assert (held["subject"], held["reason"]) == ({"kind": "person", "id": "ann"}, "case 7")
    assert "person ann" in c500("holds").stdout
    assert c500("release", "--person", "ann").exit_code == 0
    assert json.loads(c500("holds", "--json").stdout) == []
    assert isinstance(c500("release", "--person", "ann").exception, NotFound)


def test_all_places_are_listed() -> None:
    assert c500("places").stdout.strip() == inventory_markdown()


@pytest.mark.parametrize(
    "arguments",
    [
        ("show",),
        ("show", "--job", "a", "--person", "b"),
        ("show", "--person", "a\nb"),
        ("erase", "--job", "a", "--yes"),
        ("erase", "--job", "a", "--plan", "0123456789abcdef", "--yes"),
        ("hold", "--job", "a", "--reason", ""),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: tuple[str, ...]) -> None:
    assert isinstance(c500(*arguments).exception, BadInput)


@pytest.mark.usefixtures("prefect_api")
def test_a_plan_is_shown_and_then_erased_by_its_id(anna: Person, tmp_path: Path) -> None:
    shown: Any = json.loads(c500("show", "--person", anna.name, "--json").stdout)
    assert list(open_store().list("personal-data/plans/")) == []
    archive = tmp_path / "anna.zip"
    exported = json.loads(c500("export", str(archive), "--person", anna.name, "--json").stdout)
    assert (exported["files"] > 20, archive.exists()) == (True, True)
    planned = c500("erase", "--person", anna.name)
    assert f"jobs/{anna.job}/result.json" in planned.stdout
    (plan,) = open_store().list("personal-data/plans/")
    plan_id = plan.rpartition("/")[2].removesuffix(".json")
    assert f"c500 data erase --plan {plan_id} --yes" in planned.stderr
    assert shown["plan_id"] != plan_id  # the export has left its own run
    done = c500("erase", "--plan", plan_id, "--yes")
    assert "erased: " in done.stdout, (done.exception, done.output)
    with open_world() as world:
        assert bytes_with(world, anna.mark) == []
