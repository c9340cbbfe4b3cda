"""The file of agent servers: what is wrong with it is told with its line, and secrets are only named in it."""

from pathlib import Path

import pytest

from blocks.errors import BadInput, NotFound
from blocks.iiagent.server import AgentServer, read_servers, servers
from blocks.settings import settings

EXAMPLE = Path(__file__).parents[3] / "deployments" / "agent_servers.example.yaml"
SMALL = "servers:\n  - {name: one, base_url: http://127.0.0.1:8000/, model_keys: [a]}\n"


def test_the_example_reads(tmp_path: Path) -> None:
    found = read_servers(EXAMPLE)
    local, sandboxed = found.servers
    assert (local.flavor, local.sandbox, local.init_s, local.cores) == ("auto", "local", 60, 8)
    assert (sandboxed.init_s, sandboxed.socket_url) == (600, "wss://agents.example.com/team/ws")
    assert found.named("sandboxed") is sandboxed
    with pytest.raises(NotFound, match="third") as caught:
        found.named("third")
    assert "local, sandboxed" in caught.value.fix


def test_the_setting_names_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(SMALL)
    monkeypatch.setenv("AGENT_SERVERS_FILE", str(tmp_path / "mine.yaml"))
    settings.cache_clear()
    (server,) = servers().servers
    assert (server.base_url, server.session_url("x")) == ("http://127.0.0.1:8000", None)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{name: one, base_url: ftp://x, model_keys: [a]}", "base_url"),
        ("{name: one, base_url: 'http://me:secret-9@x', model_keys: [a]}", "no user or password"),
        ("{name: one, base_url: 'http://x?a=1', model_keys: [a]}", "an address"),
        ("{name: one, base_url: http://x, model_keys: []}", "1 or more"),
        ("{name: one, base_url: http://x, model_keys: [a, a]}", "twice"),
        ("{name: one, base_url: http://x, model_keys: [a], headers: {Authorization: secret-9}}", "where the secret is"),
        ("{name: one, base_url: http://x, model_keys: [a], limits: {idle: 3}}", "idle_s"),
        ("{name: one, base_url: http://x, model_keys: [a], flavour: ws}", "did you mean flavor"),
        (
            "{name: two, base_url: http://x, model_keys: [a]}\n  - {name: two, base_url: http://y, model_keys: [a]}",
            "two",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / "servers.yaml").write_text(f"servers:\n  - {line}\n")
    with pytest.raises(BadInput, match=told) as caught:
        read_servers(tmp_path / "servers.yaml")
    assert "servers.yaml:" in caught.value.message and "secret-9" not in caught.value.message
    assert caught.value.details["line"] in (1, 2)


def test_an_address_is_understood_however_its_scheme_is_written() -> None:
    server = AgentServer.model_validate({"name": "one", "base_url": "HTTPS://Host:8000/at/", "model_keys": ["a"]})
    assert (server.base_url, server.socket_url) == ("https://Host:8000/at", "wss://Host:8000/at/ws")


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        read_servers(tmp_path / "none.yaml")


async def test_headers_are_found_where_the_file_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AGENT_TOKEN", "Bearer abc")
    text = SMALL.replace("[a]", "[a], headers: {Authorization: env:AGENT_TOKEN, X-Key: 'file:s.json#k', X-No: none}")
    (tmp_path / "servers.yaml").write_text(text)
    (server,) = read_servers(tmp_path / "servers.yaml").servers
    assert server.headers["X-Key"] == f"file:{tmp_path}/s.json#k"
    only = server.model_copy(update={"headers": {"Authorization": "env:AGENT_TOKEN", "X-No": "none"}})
    assert await only.secret_headers() == {"Authorization": "Bearer abc"}
    monkeypatch.delenv("AGENT_TOKEN")
    with pytest.raises(NotFound, match=r"servers\.one\.headers\.Authorization"):
        await only.secret_headers()


def test_a_server_has_the_address_of_its_page() -> None:
    server = AgentServer(name="a", base_url="http://x", ui_url="http://ui/", model_keys=("m",))
    assert server.session_url("1-2") == "http://ui/?id=1-2"
