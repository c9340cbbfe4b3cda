"""A person and a job with data in every place that has a holder, each with a mark that is found by its bytes."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate
from prefect.states import Completed

from blocks.accounts.books import Entry as Call
from blocks.accounts.books import insert
from blocks.accounts.ledger_retention import Held, sum_up
from blocks.accounts.schema import CACHE, OWNERS
from blocks.audit import Entry
from blocks.audit.places import open_audit
from blocks.content import content_hash
from blocks.keys import KEYS_FILE, ApiKey, KeyFile
from blocks.limits import open_limiter
from blocks.limits.limit import Charge, Limit, Option
from blocks.memory import Memory, Namespace, Origin
from blocks.redact import default_redactor
from blocks.rows.report import FOLDERS
from blocks.runs.record import JOB_ID, JOB_TAG, OWNER, UPLOAD
from blocks.settings import settings
from blocks.store.files import Files
from tasks.personal_data.holder import World

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)
OLD_S = 100 * 86_400


@dataclass(frozen=True)
class Person:
    """A person with all that is theirs.

    Attributes:
        name: The user.
        mark: Stands in all that is kept about them.
    """

    name: str

    @property
    def mark(self) -> str:
        return f"marker-of-{self.name}"

    def made(self, what: str) -> str:
        """An id that a program makes."""
        return content_hash([self.name, what])[:16]

    @property
    def job(self) -> str:
        return self.made("job")

    @property
    def run(self) -> str:
        return self.made("run")

    @property
    def session(self) -> str:
        return f"chat-of-{self.name}"

    @property
    def key(self) -> str:
        return self.made("key")[:12]

    @property
    def upload(self) -> str:
        return content_hash([self.name, "upload"])[:32]


def plant(world: World, person: Person) -> UUID:
    """Put data of a person into every place; the id of their flow run."""
    in_store(world.known.files, person)
    at_home(world, person)
    in_books(world, person)
    in_logs(world.logs, person)
    return in_prefect(world.known.client, person)


def plant_shared(world: World, *persons: Person) -> None:
    """Files that have rows of several."""
    files = world.known.files
    rows = [{"source": f"{one.mark}.wav", "outcome": "done", "job_id": one.job} for one in persons]
    files.put_bytes("batches/b1/report.json", json.dumps({"batch_id": "b1", "items": rows, "ignored": []}).encode())
    lines = "".join(f"{row['source']},done,{row['job_id']}\n" for row in rows)
    files.put_bytes("batches/b1/report.csv", f"source,outcome,job_id\n{lines}".encode("utf-8-sig"))
    jsonl = "".join(f"{json.dumps({'job': one.job, 'name': one.mark})}\n" for one in persons)
    files.put_bytes("quality/history/jobs/2026-11-03.jsonl", jsonl.encode())
    claims = [{"claim_id": "1", "by": {"run_id": one.run}, "intent": one.mark} for one in persons]
    files.put_bytes("agents/intents/shared/abc.json", json.dumps({"claims": claims}).encode())
    keys = [
        ApiKey(key_id=one.key, name=one.name, scopes=("submit",), created_at=NOW, revoked_at=NOW) for one in persons
    ]
    files.put_bytes(KEYS_FILE, KeyFile(keys=tuple(keys)).model_dump_json().encode())


def in_store(files: Files, one: Person) -> None:
    mark, folder = one.mark.encode(), f"jobs/{one.job}"
    for name in ("source.wav", "audio.wav", "transcript.json", "summary.json", "log.jsonl", "result.json"):
        files.put_bytes(f"{folder}/{name}", json.dumps({"text": one.mark}).encode() if "." in name else mark)
    files.put_bytes(f"uploads/{one.upload}/{one.mark}.wav", mark)
    named = {"key": f"{folder}/transcript.json", "sha256": "0" * 64, "size_bytes": 3}
    record = {"metadata": {}, "result": json.dumps({"file": named, "text": one.mark})}
    files.put_bytes(f"results/transcribe-v1-{one.made('step')}", json.dumps(record).encode())
    files.put_bytes(f".trash/20261103T000000Z.audio.x/{folder}/audio.wav", mark)
    files.put_bytes(f"quality/docs/{one.name}.html", f"<p>{one.job} {one.mark}</p>".encode())
    samples = [{"key": one.job, "value": one.mark}]
    files.put_bytes(f"quality/audits/{one.made('audit')}/report.json", json.dumps({"samples": samples}).encode())
    files.put_bytes(f"evaluations/scores/{one.made('score')}.json", json.dumps({"id": one.job, "t": one.mark}).encode())
    for folder in FOLDERS.values():
        names = {"report_id": one.made(folder), "names": [one.run]}
        files.put_bytes(f"{folder}/{one.made(folder)}/report.json", json.dumps(names).encode())
    report = f"reports/day/{one.made('report')}"
    files.put_bytes(f"{report}/report.md", f"{one.name} {one.mark}".encode())
    files.put_bytes(f"{report}/report.json", json.dumps({"rows": [[one.name, one.mark]]}).encode())
    files.put_bytes(f"dispatches/{one.run}/request.txt", mark)
    files.put_bytes(f"sessions/{one.session}/files/{one.mark}.txt", mark)
    begun = {"run_id": one.run, "user": one.name, "session": one.session, "goal": one.mark}
    for name in ("begun.json", "messages.json"):
        files.put_bytes(f"agents/runs/{one.run}/{name}", json.dumps(begun).encode())
    files.put_bytes(f"agents/teams/{one.run}/begun.json", json.dumps(begun).encode())
    files.put_bytes(f"agents/handoffs/{one.run}-{one.made('call')}/off.json", json.dumps(begun).encode())
    talk = {"user": one.name, "runs": [one.run], "messages": [one.mark]}
    files.put_bytes(f"agents/sessions/{one.session}.json", json.dumps(talk).encode())
    asked, proposed = one.made("approval"), one.made("review")
    request = {"requester": one.name, "run_id": one.run, "reason": one.mark}
    files.put_bytes(f"approvals/records/{asked}.json", json.dumps({"request": request}).encode())
    files.put_bytes(f"approvals/open/{asked}", b"")
    files.put_bytes(f"escalations/records/{asked}.json", json.dumps({"approval_id": asked, "to": one.mark}).encode())
    proposal = {"proposer": "agent", "begun_by": one.name, "run_id": one.run, "content": one.mark}
    files.put_bytes(f"reviews/records/{proposed}.json", json.dumps({"proposal": proposal}).encode())
    files.put_bytes(f"reviews/open/{proposed}", b"")
    files.put_bytes(f"reviews/runs/{one.run}/{proposed}", b"")
    files.put_bytes(f"gateway/usage/{one.key}/2026-11-03.json", b'{"uploaded_bytes":1}')


def at_home(world: World, one: Person) -> None:
    for folder in (f"runs/{one.run}", f"runs/{one.run}/versions/1", f"results/{one.run}", f"workspaces/{one.session}"):
        _write(world.home / folder / "record.json", {"said": one.mark})
    trashed = {"root": str(world.home.resolve() / "workspaces" / one.session), "name": "a.txt"}
    _write(world.home / "trash" / one.made("trash") / "manifest.json", {"state": "kept", "trashed": trashed})
    _write(world.home / "trash" / one.made("trash") / "content", {"said": one.mark})
    _write(world.home / "sessions" / one.session / "session.json", {"session_id": "other", "text": one.mark})
    _write(world.home / "sessions" / "downloads" / one.session / "file.txt", {"said": one.mark})
    effect = one.made("effect")
    path = world.home / "effects" / effect[:2] / effect[2:4] / f"{effect}.json"
    _write(path, {"effect_id": f"{one.run}/call", "state": "done", "result": one.mark})
    path.with_suffix(".lock").touch()
    _remember(world.home, one)
    metrics = world.home / "metrics" / "metrics.db"
    metrics.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(metrics)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS counted (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE)")
        database.execute("INSERT INTO counted (key) VALUES (?)", (f"{one.run}/1",))
    log = open_audit(world.home)
    for number, facts in enumerate(({"user": one.name}, {"user": "ops", "arguments": {"job": one.job}})):
        entry = {"run_id": one.run if number == 0 else "ops-run", "agent": "helper", "phase": "decided"}
        log.append(Entry(entry_id=f"{one.name}/{number}", reasoning=one.mark, **entry | facts))  # pyright: ignore[reportArgumentType]


def _remember(home: Path, one: Person) -> None:
    import asyncio

    async def remember() -> None:
        memory = Memory(home / "memory" / "memory.db", default_redactor())
        origin = Origin(run_id=one.run, call_id="1", tool="remember")
        space = Namespace(agent="helper", user=one.name)
        await memory.remember(space, f"{one.mark} likes tea", origin=origin)
        await memory.recall(space, "tea", run_id=one.run, call_id="2")
        memory.close()

    asyncio.run(remember())


def a_call(one: Person) -> Call:
    """A call of a model that they paid for."""
    return Call(
        at=NOW.timestamp(), account="first", model="m", user=one.name, session=one.session, job=one.run, outcome="ok"
    )


def in_books(world: World, one: Person) -> None:
    import asyncio

    call = a_call(one)
    old = replace(call, at=NOW.timestamp() - OLD_S)
    with world.known.books.begin() as connection:
        insert(connection, [old, replace(call, job=one.job), call, replace(call, user="nobody", session="", job="")])
        key = one.made("cache")
        connection.execute(CACHE.insert().values(key=key, scope="s", at=1.0, answer=one.mark))
        connection.execute(OWNERS.insert().values(key=key, user=one.name, session=one.session, job=one.job))
    sum_up(world.known.books, NOW.timestamp() - OLD_S / 2, Held())

    async def reserve() -> None:
        limiter = open_limiter(settings().limiter_url)
        limit = Limit(key=f"user/{one.name}/rpd", amount=5, kind="calendar", period="day")
        held = await limiter.reserve([Option("first", (Charge(limit, 1),))])
        await limiter.settle(held)  # pyright: ignore[reportArgumentType]
        await limiter.close()

    asyncio.run(reserve())


def in_logs(folder: Path, one: Person) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "c500.jsonl").open("a") as stream:
        stream.write(json.dumps({"event": "step", "job_id": one.job, "text": one.mark}) + "\n")
        stream.write(json.dumps({"event": "chat", "user": one.name, "text": one.mark}) + "\n")
        stream.write(json.dumps({"event": "unrelated"}) + "\n")


def a_flow() -> Any:
    """The flow of a job."""
    from prefect import flow

    @flow(name="process-audio")
    def job(user: str = "", text: str = "") -> None: ...

    return job


def in_prefect(client: SyncPrefectClient, one: Person) -> UUID:
    run = client.create_flow_run(
        a_flow(), parameters={"user": one.name, "text": one.mark}, tags=[JOB_TAG], state=Completed()
    )
    client.update_flow_run_labels(
        run.id, {OWNER: one.key, JOB_ID: one.job, UPLOAD: f"uploads/{one.upload}/{one.mark}.wav"}
    )
    client.create_artifact(
        ArtifactCreate(key=f"dead-letter-{run.id}", type="markdown", data=one.mark, flow_run_id=run.id)
    )
    line = {"name": "c500", "level": 20, "message": one.mark, "timestamp": NOW.isoformat(), "flow_run_id": str(run.id)}
    client.create_logs([line])
    return run.id


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def bytes_with(world: World, mark: str, *, but: tuple[str, ...] = ()) -> list[str]:
    """Where some bytes stand, in files, keys, names and databases of all places."""
    found = list[str]()
    for key in world.known.files.list():
        if mark in key or mark.encode() in world.known.files.read_bytes(key):
            found.append(f"store/{key}")
    roots = [world.home, world.logs, *Path(str(world.known.books.url.database)).parent.glob("*.db*")]
    for root in roots:
        for path in [root, *root.rglob("*")] if root.is_dir() else [root]:
            if mark in path.name or (path.is_file() and mark.encode() in path.read_bytes()):
                found.append(str(path))
    return [one for one in found if not one.endswith(but or ("\0",))]
