"""Sessions opened on a scripted server, with limits that let nobody wait."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from blocks.iiagent.server import AgentServer, Limits
from blocks.iiagent.session import AgentSession, open_session

QUICK: dict[str, Any] = {
    "poll_s": 0.01,
    "settle_s": 0,
    "backoff_s": 0.01,
    "longest_backoff_s": 0.02,
    "start_window_s": 0.3,
    "idle_window_s": 0.6,
    "turn_s": 60,
}


def server_at(url: str, *, limits: dict[str, Any] | None = None, **fields: Any) -> AgentServer:
    """A server of these fields."""
    fields.setdefault("model_keys", ("claude@a", "claude@b"))
    return AgentServer(name="fake", base_url=url, limits=Limits(**{**QUICK, **(limits or {})}), **fields)


@asynccontextmanager
async def session_at(
    url: str, folder: Path = Path("session"), *, limits: dict[str, Any] | None = None, **fields: Any
) -> AsyncGenerator[AgentSession]:
    """A session on it, in a folder of the test."""
    options = {name: fields.pop(name) for name in ("session_id", "model_key", "on_event", "pace") if name in fields}
    async with open_session(server_at(url, limits=limits, **fields), folder, **options) as session:
        yield session
