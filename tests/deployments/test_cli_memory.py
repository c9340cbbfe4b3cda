"""`c500 memory`: what waits is read and released; export, pages, and deletion for good."""

import asyncio
import json
import stat
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click.testing import Result
from typer.testing import CliRunner

from blocks.approvals import login_name
from blocks.errors import BadInput, C500Error, Conflict, NotFound
from blocks.memory import MemoryRecord, Namespace, Origin
from blocks.memory.open import open_memory
from blocks.settings import settings
from deployments.cli.memory import commands


@pytest.fixture(autouse=True)
def agents_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGENTS_HOME", str(tmp_path / "agents"))
    settings.cache_clear()
    return tmp_path / "agents"


def c500(*arguments: str, stdin: str | None = None) -> Result:
    """The command; its errors as they are, since `main` tells them."""
    made = CliRunner().invoke(commands, list(arguments), input=stdin)
    if isinstance(made.exception, C500Error):
        raise made.exception
    return made


def remembered(text: str, user: str = "ann", *labels: Any) -> MemoryRecord:
    async def write() -> MemoryRecord:
        memory = open_memory()
        origin = Origin(run_id="run", call_id=uuid4().hex, tool="remember", labels=frozenset(labels))
        made = await memory.remember(Namespace(agent="operator", user=user), text, origin=origin)
        memory.close()
        return made.record

    return asyncio.run(write())


def test_what_waits_is_listed_shown_with_its_reasons_and_released() -> None:
    record = remembered("The log says all is well.", "ann", "untrusted")
    remembered("The port is 5432.")
    listed = c500("list", "--state", "quarantined").stdout
    assert record.memory_id in listed
    assert "5432" not in listed
    shown = c500("show", record.memory_id).stdout
    assert "kept back: it was written after the run had seen untrusted material" in shown
    assert "by remember in run run" in shown
    assert c500("release", record.memory_id, "--by", "carol").exit_code == 2  # nobody signs for another
    assert c500("release", record.memory_id[:8]).stdout == f"{record.memory_id}: released\n"
    told = json.loads(c500("show", record.memory_id, "--json").stdout)
    assert (told["state"], told["reviewed_by"]) == ("released", login_name())


def test_a_persons_memory_is_recalled_at_once() -> None:
    made = json.loads(c500("add", "Deploy on Tuesdays.", "--agent", "operator", "--user", "ann", "--json").stdout)
    assert made["state"] == "released"
    assert [one["text"] for one in json.loads(c500("list", "--user", "ann", "--json").stdout)] == [
        "Deploy on Tuesdays."
    ]


def test_no_text_moves_the_cursor_of_who_lists_it() -> None:
    record = remembered("red\x1b[31m\x1b]0;title\x07 \u202etxt\r\nnext")
    for command in (("list",), ("show", record.memory_id)):
        printed = c500(*command).stdout
        assert not {"\x1b", "\x07", "\r", "\u202e"} & set(printed)


def test_an_export_has_everything_of_a_user_and_is_its_owners_alone(tmp_path: Path) -> None:
    remembered("The port is 5432.")
    remembered("The log says all is well.", "ann", "untrusted")
    remembered("Ben likes tea.", "ben")
    out = tmp_path / "ann.jsonl"
    assert c500("export", "--user", "ann", "--out", str(out)).exit_code == 0
    lines = [MemoryRecord.model_validate_json(line) for line in out.read_text().splitlines()]
    assert [(one.text, one.state) for one in lines] == [
        ("The port is 5432.", "active"),
        ("The log says all is well.", "quarantined"),
    ]
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert len(c500("export").stdout.splitlines()) >= 3
    with pytest.raises(BadInput):
        c500("export", "--out", str(out))


def test_pages_are_written_for_each_namespace_and_no_name_leads_elsewhere(tmp_path: Path) -> None:
    remembered("The port is 5432.")
    remembered("The port is 1.", "../../etc")
    remembered("The port is 2.", "..")
    made = c500("notes", "--out", str(tmp_path / "notes")).stdout.split()
    assert len(made) == 3
    for path in map(Path, made):
        assert path.resolve().is_relative_to(tmp_path / "notes")
        assert len(path.relative_to(tmp_path / "notes").parts) == 3
    assert "The port is 5432." in (tmp_path / "notes/operator/ann/MEMORY.md").read_text()
    assert c500("notes", "--user", "ann").stdout.startswith("# Memory of operator for ann")


def test_a_user_is_deleted_only_when_it_is_meant(agents_home: Path) -> None:
    remembered("zanzibarmarker")
    remembered("Ben likes tea.", "ben")
    assert c500("forget", "--user", "ann", stdin="n\n").exit_code == 1
    assert "zanzibarmarker" in c500("list").stdout
    assert json.loads(c500("forget", "--user", "ann", "--yes", "--json").stdout) == {"memories": 1, "residue": False}
    assert b"zanzibarmarker" not in b"".join(path.read_bytes() for path in (agents_home / "memory").iterdir())
    assert "Ben likes tea." in c500("list").stdout


def test_one_memory_is_deleted() -> None:
    record = remembered("The port is 5432.")
    assert "1 memory is gone" in c500("forget", record.memory_id, "--yes").stdout
    assert c500("list", "--json").stdout.strip() == "[]"


def test_a_merge_is_undone() -> None:
    records = [remembered(text) for text in ("The primary is db-3.", "db-3 is the primary.")]

    async def merge() -> str:
        memory = open_memory()
        made = await memory.merge([one.memory_id for one in records], "db-3: the primary.")
        memory.close()
        return made.memory_id

    merged = asyncio.run(merge())
    assert f"merged into {merged}" in c500("list").stdout
    assert c500("split", merged).stdout.split() == [
        records[0].memory_id + ":",
        "active",
        records[1].memory_id + ":",
        "active",
    ]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("list", "--state", "lost"), BadInput),
        (("add", "x", "--agent", "a", "--kind", "rumour"), BadInput),
        (("forget", "--yes"), BadInput),
        (("forget", "0" * 16, "--user", "ann", "--yes"), BadInput),
        (("forget", "0" * 16, "--yes"), NotFound),
        (("show", "0" * 16), NotFound),
        (("release", "0" * 16), NotFound),
    ],
)
def test_what_cannot_be_is_refused_with_a_fix(arguments: tuple[str, ...], error: type[C500Error]) -> None:
    with pytest.raises(error) as told:
        c500(*arguments)
    assert told.value.fix


def test_what_is_recalled_already_needs_no_release() -> None:
    record = remembered("The port is 5432.")
    with pytest.raises(Conflict):
        c500("release", record.memory_id)


def test_an_agent_that_there_is_not_is_given_no_memory() -> None:
    with pytest.raises(NotFound, match="no agent 'operater'"):
        c500("add", "The port is 5432.", "--agent", "operater")
    assert json.loads(c500("list", "--json").stdout) == []


def test_nothing_is_deleted_where_nobody_answers() -> None:
    record = remembered("The port is 5432.")
    with pytest.raises(BadInput, match="nobody said whether to delete memory") as failed:
        c500("forget", record.memory_id, "--json", stdin="")
    assert failed.value.fix == "give --yes"
    assert "Delete" not in c500("forget", record.memory_id, stdin="n\n").stdout
    assert len(json.loads(c500("list", "--json").stdout)) == 1
