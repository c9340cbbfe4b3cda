"""`c500 simulate-llm`, run as a user runs it."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from blocks.accounts.file import read_accounts
from blocks.errors import BadInput
from deployments.cli.simulate import simulate_llm
from tests.deployments.simulator.calling import HTTP, SAID, account
from tests.deployments.test_cli import c500
from tests.fakes.llm.simulated import Simulated, simulated
from tests.processes import free_port

FILE = """\
# Ours; the key is in the environment.
accounts:
  - name: team-first
    provider: openai
    key: env:OPENAI_API_KEY
    models: {small: {price: {input_usd: 1, output_usd: 2}}}
  - {name: second, provider: anthropic, key: "env:ANTHROPIC_API_KEY", models: {claude: {}}, quota: {rpm: 1}}
  - {name: third, provider: gemini, key: "prefect:gemini", models: {gemini: {name: gemini-2.5-flash}}}
routing: {attempts: 2}
"""


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    path = tmp_path / "accounts.yaml"
    path.write_text(FILE)
    return path


def call(base_url: str, provider: str, model: str) -> httpx.Response:
    """A call as the account's dialect has it, to the base URL that the copy names."""
    said = [{"role": "user", "content": SAID}]
    if provider == "gemini":
        body: dict[str, Any] = {"contents": [{"parts": [{"text": SAID}]}]}
        return HTTP.post(f"{base_url}/models/{model}:generateContent", json=body)
    if provider == "anthropic":
        body = {"model": model, "max_tokens": 9, "messages": said}
        return HTTP.post(f"{base_url}/messages", json=body, headers={"anthropic-version": "2023-06-01"})
    return HTTP.post(f"{base_url}/chat/completions", json={"model": model, "messages": said})


def test_the_copy_leads_here_and_every_account_answers(accounts: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    with simulated(accounts, folder, accounts={"third": {"next_faults": {"error": 1}}}) as simulator:
        copy = read_accounts(simulator.accounts)
        assert [one.key for one in copy.accounts] == ["none"] * 3
        assert copy.routing.attempts == 2
        wire = [("openai", "small"), ("anthropic", "claude"), ("gemini", "gemini-2.5-flash")]
        answers = [call(one.url, *names) for one, names in zip(copy.accounts, wire, strict=True)]
        assert [one.status_code for one in answers] == [200, 200, 500]
        assert call(copy.accounts[1].url, *wire[1]).status_code == 429
        books = simulator.books()
        assert books["accounts"]["team-first"]["charged"]["cost_units"] == 14 * 1000 + 14 * 2000
        simulator.change("second", enforce=False)
        assert call(copy.accounts[1].url, *wire[1]).status_code == 200
        simulator.reset()
        assert simulator.books()["total"]["requests"] == 0
    assert accounts.read_text() == FILE
    assert simulator.process.returncode == 0


def test_it_says_how_to_use_it_and_what_came(accounts: Path, tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "deployments", "simulate-llm", str(accounts), "--port", str(port)]
    command += ["--latency", "fixed:1", "--faults", "error:0.5", "--seed", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        said = [process.stdout.readline() for _ in range(4)]
        copy = read_accounts(tmp_path / "accounts.simulated.yaml")
        call(copy.accounts[1].url, "anthropic", "claude")
        call(copy.accounts[1].url, "anthropic", "claude")
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert f"3 accounts simulated at http://127.0.0.1:{port}" in said[0]
    assert "accounts.simulated.yaml in place of" in said[1]
    assert process.returncode == 0
    assert "second: 1 taken, 1 refused, $0.000000; at most rpm 1 of 1" in rest


def test_two_with_the_same_seed_answer_alike(tmp_path: Path) -> None:
    def answers(simulator: Simulated) -> list[Any]:
        got = [call(simulator.base_url("first"), "openai", "small") for _ in range(20)]
        return [(one.status_code, one.json().get("choices")) for one in got]

    behaviour = {"seed": 5, "faults": {"error": 0.3, "prose": 0.3}, "answer_tokens": [3, 40]}
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    with simulated([account()], one, **behaviour) as first, simulated([account()], two, **behaviour) as second:
        made = answers(first)
        assert len({json.dumps(answer) for answer in made}) > 3
        assert answers(second) == made


def test_a_script_of_the_users_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_script.py").write_text("def answer(asked):\n    return asked.last[::-1]\n")
    monkeypatch.setenv("PYTHONPATH", f"{os.environ['PYTHONPATH']}:{tmp_path}")
    with simulated([account()], tmp_path, script="my_script.answer") as simulator:
        made = call(simulator.base_url("first"), "openai", "small").json()
    assert made["choices"][0]["message"]["content"] == SAID[::-1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"accounts": Path("missing.yaml")}, "no file missing.yaml"),
        ({"accounts": Path("broken.yaml")}, "broken.yaml:1"),
        ({"write": Path("accounts.yaml")}, "the original itself"),
        ({"write": Path("mine.yaml")}, "a file that simulate-llm did not write"),
        ({"latency": "fast"}, "--latency is 'fast'"),
        ({"faults": "many"}, "--faults is 'many'"),
        ({"behaviour": Path("wrong.yaml")}, "wrong.yaml:1: window_s: it must be more than 0"),
        ({"behaviour": Path("other.yaml")}, "no account fourth"),
        ({"behaviour": Path("list.yaml")}, "list.yaml:1: file: here belongs a mapping"),
        ({"behaviour": Path("none.yaml")}, "no file none.yaml"),
    ],
)
def test_what_cannot_be_is_refused(accounts: Path, options: dict[str, Any], said: str) -> None:
    folder = accounts.parent
    (folder / "mine.yaml").write_text("a: 1\n")
    (folder / "broken.yaml").write_text("accounts: []\n")
    (folder / "list.yaml").write_text("[1]\n")
    (folder / "wrong.yaml").write_text(yaml.safe_dump({"window_s": -1}))
    (folder / "other.yaml").write_text(yaml.safe_dump({"accounts": {"fourth": {}}}))
    with pytest.raises(BadInput) as refused:
        simulate_llm(**{"accounts": Path("accounts.yaml"), "port": 0} | options)
    assert said in refused.value.message
    assert (folder / "mine.yaml").read_text() == "a: 1\n"
    assert accounts.read_text() == FILE


def test_a_taken_port_is_said_with_a_fix(accounts: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        run = c500("simulate-llm", str(accounts), "--port", str(taken.getsockname()[1]))
    assert run.returncode == 2
    assert "cannot be used" in run.stderr
    assert "fix: give another with --port" in run.stderr
