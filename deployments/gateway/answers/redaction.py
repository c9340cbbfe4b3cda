"""What of a task is shown to a key: the name its own run gave the input, and no folder or address of our machines.

The same input with the same options is one job, whoever submits it, so a result may come from another owner's run.
"""

import json
import re
from typing import Any

from blocks.errors import NotFound
from blocks.job import JobResult, Notice
from blocks.keys import ApiKey
from blocks.runs import JobRun
from blocks.runs.record import INTERNAL_ERROR
from blocks.store.files import FileRef, Files
from deployments.gateway.answers.task_status import public_model

FOR_ADMINISTRATORS = {"log.jsonl"}
"""Files about a run rather than its recording."""

NAMED_FILE = "transcript.md"
"""The form of a transcript that holds the name of the input, as its heading."""

JSON_TYPE = "application/json"
ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"`<>)\]]+", re.IGNORECASE)
FOLDER = re.compile(r"(?<![\w./~-])[~.]{0,2}/(?!v1/)(?:[^\s/'\"`]+/)+")
"""Of a path all but the last part; paths of our own API stay."""

OUR_FAULT = "the job failed by a fault of the service"


def result_for(key: ApiKey, run: JobRun, result: JobResult) -> JobResult:
    """The result of a run as a key is shown it."""
    named = result.model_copy(update={"source_name": run.source_name or result.source_name})
    if key.may("admin"):
        return named
    said = run.source_name
    return named.model_copy(
        update={
            "notices": tuple(_plain_notice(notice, said) for notice in result.notices),
            "files": {name: ref for name, ref in result.files.items() if name not in FOR_ADMINISTRATORS},
        }
    )


def run_for(key: ApiKey, run: JobRun) -> JobRun:
    """A run as a key is shown it: of what went wrong within only that it did."""
    if run.error is None or key.may("admin"):
        return run
    if run.error.code == INTERNAL_ERROR:
        fix = f"tell who runs the service the id of the task, {run.run_id}"
        plain = {"message": OUR_FAULT, "fix": fix}
    else:
        plain = {name: plain_text(getattr(run.error, name), run.source_name) for name in ("message", "fix")}
    return run.model_copy(update={"error": run.error.model_copy(update=plain)})


def content_for(key: ApiKey, name: str, result: JobResult, ref: FileRef, files: Files) -> bytes | None:
    """The content of a file as a key is shown it; None: as it lies in the store, which this reads.

    Args:
        key: Who asks.
        name: The input's name as the run in question has it.
        result: As it was published.
        ref: One of its files.
        files: The store.
    """
    try:
        if ref.key.endswith(f"/{NAMED_FILE}") and name != result.source_name:
            _, line, rest = files.read_bytes(ref.key).partition(b"\n")
            return f"# {' '.join(name.split())}".encode() + line + rest
        if ref.media_type != JSON_TYPE or key.may("admin"):
            return None
        held = json.loads(files.read_bytes(ref.key))
    except NotFound:
        return None
    plain = without_places(held, name)
    return None if plain == held else json.dumps(plain, ensure_ascii=False, indent=2).encode()


def without_places(held: Any, said: str | None = None) -> Any:
    """The content of one of a job's JSON files with engines by name only and notices in plain words."""
    if not isinstance(held, dict):
        return held
    content: dict[str, Any] = dict(held)  # pyright: ignore[reportUnknownArgumentType]
    for name, value in content.items():
        if name == "engine" and isinstance(value, dict):
            content[name] = plain_engine(value)  # pyright: ignore[reportUnknownArgumentType]
        elif name == "transcript":
            content[name] = without_places(value, said)
        elif name == "notices":
            content[name] = [one | {"message": plain_text(one["message"], said)} for one in value]
    return content


def plain_engine(engine: dict[str, Any] | None) -> dict[str, Any] | None:
    """An engine (`EngineInfo`) without addresses, its models by name."""
    return None if engine is None else _plain_setting("", engine)


def plain_text(text: str, said: str | None) -> str:
    """A sentence without the addresses and folders of our machines; what the client said itself stays."""
    without = ADDRESS.sub(lambda found: found[0] if said and found[0] in said else "(an address of the service)", text)
    return FOLDER.sub("…/", without)


def _plain_notice(notice: Notice, said: str | None) -> Notice:
    return notice.model_copy(update={"message": plain_text(notice.message, said)})


def _plain_setting(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        settings: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
        return {inner: _plain_setting(inner, held) for inner, held in settings.items() if inner != "url"}
    if isinstance(value, (list, tuple)):
        return [_plain_setting(name, one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, str):
        return plain_text(value, None) if ADDRESS.search(value) else public_model(value)
    return value
