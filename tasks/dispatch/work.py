"""One sub-task, done by one model."""

import json
from collections.abc import Sequence

from blocks.accounts.chat import Answer
from blocks.errors import EngineFailed
from blocks.job import Notice
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.store import open_store
from tasks.dispatch.asking import asking
from tasks.dispatch.means import means
from tasks.dispatch.plan import SubTask
from tasks.dispatch.prompts import Brief, Quoted, as_text, redo_text, work_prompt
from tasks.dispatch.quoting import fitting, left_out_notices
from tasks.dispatch.request import dispatch_folder
from tasks.dispatch.result import SubTaskResult
from tasks.dispatch.speciality import Speciality
from tasks.dispatch.spent import Spent


class Redo(Frozen):
    """Why a sub-task is done again.

    Attributes:
        last: Its last result; None when it had none.
        what: What must be better.
    """

    last: Quoted | None
    what: str


@asking("sub-task", run_name="{task.id}, round {round}")
async def sub_task_step(
    dispatch_id: str,
    brief: Brief,
    task: SubTask,
    speciality: Speciality,
    given: tuple[Quoted, ...],
    redo: Redo | None,
    round: int,
) -> SubTaskResult:
    """Do a sub-task, and write its result to `dispatches/<dispatch_id>/tasks/`.

    Args:
        dispatch_id: Of which request.
        brief: The request.
        task: The sub-task.
        speciality: Who does it.
        given: The results it depends on.
        redo: Why it is done again; None the first time.
        round: Which round; 0 is the first.

    Raises:
        EngineFailed: the model said nothing, declined, or its answer does not satisfy the schema.
        TooLarge: the sub-task fits no model, even without the results it depends on.
        C500Error: as `Means.complete`.
    """
    again = redo_text(redo.last, redo.what) if redo else ""
    now = means()
    request, left_out = fitting(
        lambda kept, out: work_prompt(brief, task, speciality, kept, out, again),
        given,
        lambda request: now.takes(request, "worker"),
    )
    if task.output_schema is None:
        answers: Sequence[Answer] = (await now.complete(request, "worker", task.priority),)
        value, text = None, _said(answers[-1])
    else:
        found = await now.ask(request, task.output_schema, "worker", task.priority)
        answers, text = found.answers, as_text(found.value)
        value = json.loads(text)
    result = SubTaskResult(
        id=task.id,
        title=task.title,
        status="done",
        output=text,
        value=value,
        model=answers[-1].model,
        account=answers[-1].account,
        round=round,
        latency_s=round_ms(sum(answer.latency_s for answer in answers)),
        spent=Spent.of_all(answers),
        notices=(*left_out_notices(task.id, left_out), *_cut(task, answers[-1])),
    )
    name = f"{dispatch_folder(dispatch_id)}/tasks/{task.id}{f'.{round}' if round else ''}.md"
    await in_thread(open_store().put_bytes, name, f"{text}\n".encode(), "text/markdown")
    return result


def round_ms(seconds: float) -> float:
    """To the millisecond."""
    return round(seconds, 3)


def _said(answer: Answer) -> str:
    """What a model answered.

    Raises:
        EngineFailed: nothing, or why it declines.
    """
    reply = answer.reply
    if reply.refusal or reply.finish_reason == "content_filter" or not reply.text.strip():
        why = reply.refusal or (
            "the provider withheld it" if reply.finish_reason == "content_filter" else "it is empty"
        )
        raise EngineFailed(
            f"{answer.model} gave no answer: {why[:300]}", fix="change the request, or choose another model or tier"
        )
    return reply.text.strip()


def _cut(task: SubTask, answer: Answer) -> tuple[Notice, ...]:
    if answer.reply.finish_reason != "length":
        return ()
    message = f"The result of {task.id} was cut at {answer.reply.usage.completion_tokens} tokens."
    return (Notice(step=task.id, code="result_cut", message=message),)
