"""`c500 swarm` from the command line: rehearsed, run, gone on with; its exit status says how it went."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from blocks.accounts.account import Quota
from deployments.simulator.behaviour import Behaviour, Rule
from deployments.simulator.serve import InProcess, simulate
from tests.flows.swarming import PROMPT, SCHEMA, account, failures, lines, write_accounts, write_rows

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[InProcess]:
    """An account with 60 requests a minute that answers nonsense about row 3."""
    accounts = [account("a", quota=Quota(rpm=60), labels=("team",))]
    rules = (Rule(pattern="row 3 ", answer="no"),)
    with ExitStack() as open_:
        one = open_.enter_context(simulate(accounts, Behaviour(rules=rules)))
        write_accounts(tmp_path / "accounts.yaml", accounts, one)
        yield one


@pytest.fixture
def c500(sim: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `c500 swarm rows.jsonl` with more arguments."""
    for name, value in {
        "ACCOUNTS_FILE": str(tmp_path / "accounts.yaml"),
        "LIMITER_URL": "memory://",
        "BOOKS_URL": f"sqlite:///{tmp_path}/books.db",
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "prompt.j2").write_text(PROMPT)
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "deployments", "swarm", "rows.jsonl", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=tmp_path)

    return run


UNREADABLE = ("--output", "out.jsonl", "--prompt", "{{ nothing }}", "--dry-run")
"""Its first row is told as wrong, unless something was looked at before the rows."""

USUAL = ("--output", "out.jsonl", "--prompt-file", "prompt.j2", "--schema", "schema.json", "--accounts", "team")


def test_a_rehearsal_says_what_binds_and_asks_nothing(c500: Command, sim: InProcess, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", 600)
    ended = c500(*USUAL, "--dry-run")
    assert ended.returncode == 0, ended.stderr
    assert "rpm binds (60)" in ended.stdout
    assert "9 min" in ended.stdout
    assert sim.books()["total"]["requests"] == 0


def test_rows_that_fail_make_the_exit_status_1(
    c500: Command, sim: InProcess, tmp_path: Path, prefect_server: str
) -> None:
    write_rows(tmp_path / "rows.jsonl", 6)
    ended = c500(*USUAL, "--keep", "id")
    assert ended.returncode == 1, ended.stderr
    assert "5 answered and 1 failed" in ended.stdout
    assert sorted(answer["input"]["id"] for answer in lines(tmp_path / "out.jsonl")) == [0, 1, 2, 4, 5]
    assert [failed["row"] for failed in failures(tmp_path / "out.jsonl")] == [4]

    sim.change(rules=[])
    again = c500(*USUAL, "--keep", "id", "--retry-failed", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["failed_in_all"] == 0
    assert again.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--output", "out.jsonl"), "give either --prompt or --prompt-file"),
        (("--output", "out.jsonl", "--prompt", "x", "--schema", "prompt.j2"), "is no JSON"),
        (UNREADABLE, "row 1: .*nothing"),
        ((*UNREADABLE, "--accounts", "nobody"), "no account is named or labelled nobody"),
        ((*UNREADABLE, "--model", "nomodel"), "no account has model 'nomodel'"),
    ],
)
def test_wrong_options_end_with_2_and_a_fix(
    c500: Command, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    import re

    write_rows(tmp_path / "rows.jsonl", 1)
    ended = c500(*arguments)
    assert ended.returncode == 2
    assert re.search(message, ended.stderr), ended.stderr
    assert "fix: " in ended.stderr
