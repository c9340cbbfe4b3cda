"""What goes between a team's agents: only through the coordinator, and all of it written down."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Literal

from pydantic import ValidationError

from blocks.errors import Conflict, StoreFailed
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.store.files import Files

Kind = Literal["task", "result", "handoff", "handback"]
Record = Callable[..., Awaitable[None]]
"""Writes into the audit as `Opened.record`: phase, entry id, facts."""

PERSON = "person"
"""Sender or receiver of what goes between a run and a person."""


class Message(Frozen):
    """That something was told, and to whom; what was told lies with the task and its result.

    Attributes:
        seq: Its number among the team's messages, from 1.
        run_id: The specialist's run that it is about.
        task_id: Its task.
        sender: Who told it.
        to: To whom.
        kind: What it is.
        body_sha256: Hash of what was told, hexadecimal.
        chars: Its length.
        at: When.
    """

    seq: int
    run_id: str
    task_id: str
    sender: str
    to: str
    kind: Kind
    body_sha256: str
    chars: int
    at: datetime


class MessageLog:
    """The messages of a team. Each is a file that is written once; none is changed, none is told twice.

    Args:
        files: The store.
        folder: Of the team, in the store.
        record: The audit.
    """

    def __init__(self, files: Files, folder: str, record: Record) -> None:
        self._files, self._folder, self._record = files, f"{folder}/messages", record
        self._one_by_one = asyncio.Lock()
        self._told: list[Message] | None = None

    async def all(self) -> tuple[Message, ...]:
        """All messages so far, in their order. Raises `StoreFailed`: one cannot be read."""
        if self._told is None:
            self._told = await in_thread(self._read)
        return tuple(self._told)

    async def post(self, run_id: str, task_id: str, sender: str, to: str, kind: Kind, body: str) -> Message:
        """Write down that something is told; a message of this run, task and kind that is there already stands.

        Raises:
            StoreFailed: it cannot be written down, or another one stands in its place; then nothing goes on.
        """
        async with self._one_by_one:
            message = await self._posted(run_id, task_id, sender, to, kind, body)
        await self._record(
            "message", f"message/{run_id}/{task_id}/{kind}", details=message.model_dump(mode="json", exclude={"at"})
        )
        return message

    async def _posted(self, run_id: str, task_id: str, sender: str, to: str, kind: Kind, body: str) -> Message:
        while True:
            told = await self.all()
            message = Message(
                seq=len(told) + 1,
                run_id=run_id,
                task_id=task_id,
                sender=sender,
                to=to,
                kind=kind,
                body_sha256=sha256(body.encode(errors="surrogatepass")).hexdigest(),
                chars=len(body),
                at=datetime.now(UTC),
            )
            for one in told:
                if (one.run_id, one.task_id, one.kind) == (run_id, task_id, kind):
                    return _same(one, message)
            try:
                await in_thread(self._files.put_if, self._key(message.seq), message.model_dump_json().encode(), None)
            except Conflict:  # what an earlier attempt of this process was cut off in
                self._told = None
                continue
            self._told = [*told, message]
            return message

    def _key(self, seq: int) -> str:
        return f"{self._folder}/{seq:06d}.json"

    def _read(self) -> list[Message]:
        keys = self._files.list(f"{self._folder}/")
        return [_parsed(key, self._files.read_bytes(key), place) for place, key in enumerate(sorted(keys), start=1)]


def _same(found: Message, told: Message) -> Message:
    """The message that is there, when it says what is told. Raises `StoreFailed`: somebody else has written it."""
    if found == told.model_copy(update={"seq": found.seq, "at": found.at}):
        return found
    raise StoreFailed(
        f"message {found.seq} says that {found.sender} told {found.to} something else than was told",
        fix="find out who can write to the store; begin a new run of the team",
    )


def _parsed(key: str, content: bytes, place: int) -> Message:
    try:
        message = Message.model_validate_json(content)
    except ValidationError as error:
        raise StoreFailed(
            f"the message {key} is damaged: {error.error_count()} faults", fix="begin a new run of the team", key=key
        ) from None
    if message.seq != place:
        raise StoreFailed(
            f"the message {key} says that it is number {message.seq}", fix="begin a new run of the team", key=key
        )
    return message
