"""What the server plays: each scenario a function that gives the steps of a run, and the knobs that belong to it.

Runs of a session are counted from 0: what fails in the first run goes well in the next one where nothing else is said.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.fakes.iiagent.agent import Run
from tests.fakes.iiagent.hostile import bomb, climbing_zip, hostile_edits
from tests.fakes.iiagent.rows import answering, rows_of_file, table
from tests.fakes.iiagent.steps import (
    Append,
    Call,
    Deaf,
    Done,
    Drop,
    Fail,
    Frame,
    Freeze,
    Raw,
    Say,
    Step,
    Stop,
    Wait,
    Write,
)

Steps = Callable[[Run], Iterable[Step]]

ANSWER = "I wrote output.csv with 3 rows."
TABLE = "id,text\n1,một\n2,hai\n3,ba\n"

EXPECTED_ROWS, TOPICS, STEPS_PER_TOPIC, FIRST_PART = 600, 10, 5, 150
BIG_BYTES = 1_500_000
CONTEXT = "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens."


@dataclass(frozen=True)
class Scenario:
    """A scenario.

    Attributes:
        steps: Steps of a run.
        knobs: Fields of `knobs.Knobs` that belong to it.
    """

    steps: Steps
    knobs: Mapping[str, Any] = field(default_factory=dict)


Scripted = str | Scenario | Steps | Sequence[Step] | Sequence[Sequence[Step]]
"""How a test says what is played."""

SCENARIOS: dict[str, Scenario] = {}
"""All that have a name."""


def scenario(**knobs: Any) -> Callable[[Steps], Steps]:
    """Put a function of steps into the table under its own name."""

    def named(steps: Steps) -> Steps:
        SCENARIOS[getattr(steps, "__name__", "")] = Scenario(steps, knobs)
        return steps

    return named


def scenario_of(given: Scripted) -> Scenario:
    """The scenario that a test names or gives."""
    if isinstance(given, Scenario):
        return given
    if isinstance(given, str):
        return SCENARIOS[given]
    if callable(given):
        return Scenario(given)
    steps = [step for step in given if isinstance(step, Step)]
    runs = [steps] if steps else [each for each in given if not isinstance(each, Step)]
    return Scenario(lambda run: runs[run.number] if run.number < len(runs) else [])


def first(*steps: Step) -> Steps:
    """These steps in the first run, and all is well in the next."""
    return lambda run: steps if run.number == 0 else happy(run)


@scenario()
def happy(run: Run) -> Iterable[Step]:
    """It looks around, writes a table of three rows, answers and ends; a table that is there it leaves alone."""
    yield Call("shell_exec", {"command": "ls"}, "uploaded_files", thinking="I look at what is there.")
    if not (run.session.workspace / "output.csv").exists():
        yield Write("output.csv", TABLE)
    yield Say(ANSWER)
    yield Done()


LOOK = Call("shell_exec", {"command": "ls"}, "")


@scenario()
def text_only(_run: Run) -> Iterable[Step]:
    """Every run is text of the model and no call of a tool."""
    yield Stop("Here is what I would do: write output.csv.")


@scenario()
def silent_always(_run: Run) -> Iterable[Step]:
    """Every run is nothing at all, and says that it is done."""
    yield Stop()


@scenario()
def never_done(_run: Run) -> Iterable[Step]:
    """Every run says that it is done, and writes nothing."""
    yield Say("All is done.")
    yield Done()


@scenario(max_turns=5)
def max_turns(run: Run) -> Iterable[Step]:
    """The first run looks around until its turns are used up."""
    return [LOOK] * 6 if run.number == 0 else happy(run)


@scenario()
def error_401(run: Run) -> Iterable[Step]:
    """The key of the first model that is used is no longer good; any other one is."""
    first_model = run.session.kept / "first_model"
    if not first_model.exists():
        first_model.write_text(run.model)
    return [Fail(401, "Invalid API key")] if run.model == first_model.read_text() else happy(run)


@scenario()
def error_429(run: Run) -> Iterable[Step]:
    """Two runs meet a limit of rate."""
    return [LOOK, Fail(429, "Rate limit reached for requests")] if run.number < 2 else happy(run)


@scenario()
def error_context(run: Run) -> Iterable[Step]:
    """The conversation is too long until /compact was sent."""
    return happy(run) if run.session.compactions else [Fail(400, CONTEXT)]


SCENARIOS.update(
    {
        "silent_stop": Scenario(first(Stop())),
        "needs_input_then_done": Scenario(first(LOOK, Say("Which language should the table be in?"))),
        "error_400": Scenario(first(LOOK, Fail(400, CONTEXT))),
        "error_500": Scenario(first(LOOK, Fail(500, "The server had an error while processing your request"))),
        "error_limit": Scenario(first(Fail(403, "Key limit exceeded (total limit)"))),
        "drop_mid_run": Scenario(first(LOOK, Drop(), LOOK)),
        "zombie_after_bad_json": Scenario(first(LOOK, Deaf())),
        "frozen": Scenario(first(LOOK, Freeze("thaw"), LOOK)),
        "close_1012": Scenario(first(LOOK, Wait("restart"))),
        "waiting": Scenario(first(LOOK, Wait("go"), LOOK)),
        "busy": Scenario(happy, {"busy": True}),
        "bad_uuid": Scenario(happy, {"refuses_sessions": True}),
        "docker_mode": Scenario(happy, {"docker": True}),
        "rows": Scenario(answering()),
    }
)


@scenario(late_polls=3)
def slow_quiesce(run: Run) -> Iterable[Step]:
    """The connection breaks, the run notices late, and who comes back before that meets an agent without memory."""
    if run.number == 0:
        return [LOOK, Drop(), LOOK]
    return happy(run) if run.history else [Say("I know nothing of an earlier task.")]


@scenario()
def big_frame(run: Run) -> Iterable[Step]:
    """A file and a picture of more than a mebibyte each."""
    yield Write("big.txt", "x" * BIG_BYTES)
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * BIG_BYTES}}
    yield Call("browser_view", {}, [{"type": "text", "text": "A page."}, picture])
    yield from happy(run)


@scenario()
def unknown_event(run: Run) -> Iterable[Step]:
    """Types and fields of events that nobody knows yet."""
    yield Frame("status_update", {"status": "running"})
    yield Frame("tool_confirmation", {"tool": "shell", "options": ["yes", "no"]})
    yield Frame("system", {"message": "old friend", "since": "tomorrow"})
    yield from happy(run)


@scenario()
def broken_frames(run: Run) -> Iterable[Step]:
    """What is no frame, between frames."""
    for data in (
        "no JSON",
        "[]",
        "{}",
        '{"type": 7}',
        '{"type": "tool_call"}',
        '{"type": "pong", "content": null}',
    ):
        yield Raw(data)
    yield Raw(b"\x00\xff")
    yield from happy(run)


@scenario(serves_anything=b"hostile")
def hostile_paths(run: Run) -> Iterable[Step]:
    """Files whose names lead out of the workspace; the server gives each of them out."""
    yield from hostile_edits(run)
    yield from happy(run)


@scenario()
def hostile_zip(run: Run) -> Iterable[Step]:
    """An archive that unpacks to very much, and one with names that lead out."""
    yield Write("bomb.zip", bomb())
    yield Write("climbing.zip", climbing_zip())
    yield Say("I packed bomb.zip and climbing.zip.")
    yield from happy(run)


def _read_uploads(run: Run) -> Iterable[Step]:
    """It tells how large the files are that came with the query."""
    for name in run.files:
        path = run.session.workspace / name
        found = f"{path.stat().st_size} bytes" if path.is_file() else "not found"
        yield Call("shell_exec", {"command": f"wc -c {name}"}, found)
        yield Say(f"{name}: {found}")
    yield from happy(run)


SCENARIOS.update(
    {
        "read_uploads": Scenario(_read_uploads),
        "upload_collision": Scenario(_read_uploads, {"name_taken": True}),
        "upload_reply_lost": Scenario(_read_uploads, {"lost_replies": 1}),
    }
)


def _in_parts(run: Run, part: int | None) -> Iterable[Step]:
    """150 rows of 600 first, then as many as `part` says, or all the rest."""
    path = run.session.workspace / "output.csv"
    have = len(rows_of_file(path)) if path.exists() else 0
    till = EXPECTED_ROWS if have and part is None else min(have + (part or FIRST_PART), EXPECTED_ROWS)
    text = table([_expected_row(number) for number in range(have, till)])
    if have:
        yield Append("output.csv", text.partition("\n")[2])
    else:
        yield Write("output.csv", text)
    yield Say(f"I wrote the rows {have + 1} to {till}.")
    yield Done()


def _expected_row(number: int) -> dict[str, Any]:
    topic, step = divmod(number, STEPS_PER_TOPIC)
    row, topic = divmod(topic, TOPICS)
    return {"row": row + 1, "topic": topic + 1, "step": step + 1, "text": f"câu {number + 1}"}


SCENARIOS.update(
    {
        "short_csv": Scenario(partial(_in_parts, part=None)),
        "csv_in_parts": Scenario(partial(_in_parts, part=FIRST_PART)),
    }
)
