"""Chapter 8: asked why payments fail, an agent quotes the configuration with its password in a channel of thirty."""

from typing import Any

import pytest
from prefect.client.orchestration import get_client

from deployments.simulator.asked import Asked
from tests.fakes.llm.agent_model import Turn, agent_model, calls, results_in
from tests.stories.house import House

GOAL = "Find out why payments fail."

SECRETS = {
    "database": "kT7-wq9Zr4-pLx2",
    "password": "Xy8vB3nQ6mWz",
    "aws": "wJalrXUtnFEMIK7MDENGbPxRfiCYzEXAMPLE9KEY",
    # Of this story alone: runs of other tests, with their secrets in their goals, stand in the same Prefect server.
    "token": "ghp_" + "Zq8w7E6r5T4y3U2i1O0pLkJhGfDsAzXcVbNm",
    "key": "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7",
}
CONFIG = f"""# payments
pool_size: 0
database_url: postgres://payments:{SECRETS["database"]}@db-3.internal:5432/payments
admin:
  user: admin
  password: {SECRETS["password"]}
aws_access_key_id: AKIAIOSFODNN7EXAMPLE
aws_secret_access_key: {SECRETS["aws"]}
notify: {{"url": "https://git.example/hook", "token": "{SECRETS["token"]}"}}
signing_key: |
  -----BEGIN PRIVATE KEY-----
  {SECRETS["key"]}
  -----END PRIVATE KEY-----
"""

READS: list[Turn] = [
    [("read_file", {"path": "payments.yaml"})],
    [("read_file", {"path": "payments.yaml", "start_line": 6})],
    [("search_files", {"pattern": "password|secret|token|url"})],
    [("run_command", {"argv": ["cat", "payments.yaml"]})],
    [("run_command", {"argv": ["grep", "-n", "e", "payments.yaml"]})],
]


def reporting(asked: Asked) -> Any:
    """Write all that tools gave back into a report."""
    return calls(("write_file", {"path": "report.md", "content": "\n".join(results_in(asked))}))


def quoting(asked: Asked) -> Any:
    """Say it, too, as the agent of the book did."""
    return "The pool has no connections. This is the configuration:\n" + "\n".join(results_in(asked))


@pytest.fixture
def config(house: House) -> House:
    """A workspace with the configuration of a service."""
    (house.workspace / "payments.yaml").write_text(CONFIG)
    house.agent("helper", "read_file", "search_files", "run_command", "write_file")
    return house


async def all_that_is_kept(house: House) -> dict[str, bytes]:
    """What a run leaves behind, by where it is: files but the configuration, and what Prefect shows."""
    files = (path for path in house.folder.rglob("*") if path.is_file() and path.name != "payments.yaml")
    kept = {str(path.relative_to(house.folder)): path.read_bytes() for path in files}
    async with get_client() as client:
        kept["artifacts"] = repr([one.data for one in await client.read_artifacts()]).encode()
        kept["logs"] = repr([one.message for one in await client.read_logs()]).encode()
        kept["runs"] = repr(await client.read_flow_runs()).encode()
    return kept


async def test_what_an_agent_reads_of_a_configuration_reaches_nobody_with_its_secrets(config: House) -> None:
    with agent_model(config.accounts, *READS, reporting, quoting) as model:
        result = await config.run(GOAL, "helper", session="channel")
        prompts = "\n".join(model.script.prompts)
    assert result.status == "done"
    assert "pool_size: 0" in result.output  # it did read it, and says what is wrong
    assert result.output.count("[REDACTED:") >= 5
    places = {"the answer": result.output.encode(), "prompts": prompts.encode(), **await all_that_is_kept(config)}
    assert {"workspace/report.md", "artifacts"} <= places.keys()
    found = {(name, place) for name, secret in SECRETS.items() for place in places if secret.encode() in places[place]}
    assert not found
