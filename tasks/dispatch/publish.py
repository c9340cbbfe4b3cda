"""A request's files in the store, and finding them again."""

from prefect import task
from pydantic import ValidationError

from blocks.errors import NotFound
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.store import open_store
from blocks.store.files import FileRef, Files
from tasks.dispatch.report import result_markdown
from tasks.dispatch.request import DispatchRequest, dispatch_folder
from tasks.dispatch.result import Clarification, DispatchResult


class Answers(Frozen):
    """What the user was asked and answered; stored, so that nobody is asked twice."""

    clarifications: tuple[Clarification, ...]


@task(name="find-dispatch")
async def find_dispatch(dispatch_id: str) -> DispatchResult | None:
    """The complete result of an earlier run of the same request; one that is partial is worked on again."""
    found = await in_thread(read_dispatch, open_store(), dispatch_id)
    return found if found and found.status == "complete" else None


def read_dispatch(files: Files, dispatch_id: str) -> DispatchResult | None:
    """The stored result of a request, whole or partial; None when there is none of this version of C500."""
    try:
        return DispatchResult.model_validate_json(files.read_bytes(f"{dispatch_folder(dispatch_id)}/result.json"))
    except (NotFound, ValidationError):
        return None


@task(name="publish-dispatch")
async def publish_dispatch_step(result: DispatchResult) -> DispatchResult:
    """Write `request.txt`, `plan.json`, `answer.md` and `report.md` of the request, and `result.json` last."""
    return await in_thread(_publish, open_store(), result)


def _publish(files: Files, result: DispatchResult) -> DispatchResult:
    folder = dispatch_folder(result.dispatch_id)
    written = {"request.txt": _put(files, f"{folder}/request.txt", result.request)}
    if result.plan is not None:
        written["plan.json"] = _put(files, f"{folder}/plan.json", result.plan.model_dump_json(indent=2))
    if result.answer is not None:
        written["answer.md"] = _put(files, f"{folder}/answer.md", result.answer)
    written["report.md"] = _put(files, f"{folder}/report.md", result_markdown(result))
    whole = result.model_copy(update={"files": written})
    _put(files, f"{folder}/result.json", whole.model_dump_json(indent=2))
    return whole


TYPES = {"md": "text/markdown", "txt": "text/plain", "json": "application/json"}


def _put(files: Files, key: str, text: str) -> FileRef:
    return files.put_bytes(key, text.encode(errors="surrogatepass"), TYPES[key.rpartition(".")[2]])


async def stored_answers(request: DispatchRequest) -> tuple[Clarification, ...] | None:
    """What the user answered in an earlier attempt; None when nobody was asked."""
    try:
        content = await in_thread(open_store().read_bytes, _answers_key(request))
        return Answers.model_validate_json(content).clarifications
    except (NotFound, ValidationError):
        return None


async def store_answers(request: DispatchRequest, clarifications: tuple[Clarification, ...]) -> None:
    """Keep what the user answered."""
    content = Answers(clarifications=clarifications).model_dump_json(indent=2)
    await in_thread(_put, open_store(), _answers_key(request), content)


def _answers_key(request: DispatchRequest) -> str:
    return f"{request.folder}/answers.json"
