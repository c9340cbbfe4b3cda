"""What an II-Agent server keeps, as its REST interface tells it."""

from collections.abc import Mapping
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, SerializeAsAny, model_validator

from blocks.iiagent.events import Event, parse_event


class _Told(BaseModel):
    """A server may tell more than we know."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)


class StoredEvent(_Told):
    """An event of the history.

    Attributes:
        id: Its id.
        timestamp: When.
        event: What.
        workspace_dir: The session's workspace on the server.
    """

    id: str = ""
    timestamp: str = ""
    event: SerializeAsAny[Event]
    workspace_dir: str = ""

    @model_validator(mode="before")
    @classmethod
    def _parsed(cls, told: Any) -> Any:
        if not isinstance(told, dict) or "event" in told:
            return cast(Any, told)
        row = cast(Mapping[str, Any], told)
        return {**row, "event": parse_event(row.get("event_payload")), "workspace_dir": row.get("workspace_dir") or ""}


class Uploaded(_Told):
    """A file that the server took.

    Attributes:
        path: As the server calls it, as `/uploaded_files/a.csv`; not always the name that was sent.
        saved_path: Where it lies on the server.
    """

    path: str
    saved_path: str = ""

    @property
    def for_query(self) -> str:
        """As a query has to name it: with the bare path the agent would look at the root of its file system."""
        return for_query(self.path)


class RemoteFile(_Told):
    """A file of a workspace.

    Attributes:
        path: Below the workspace.
        size_bytes: Its size, if the server tells it.
        etag: Changes with its content.
    """

    path: str
    size_bytes: int | None = None
    etag: str | None = None


def for_query(path: str) -> str:
    """A path of an upload as a query has to name it: relative to the workspace."""
    return f".{path}" if path.startswith("/") else path
