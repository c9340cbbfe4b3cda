"""Reports that say in a few sentences what they mean: by a model where there is one, else by rules or not at all."""

from typing import TYPE_CHECKING, TypeVar

from pydantic import Field

from blocks.markdown import code, inert
from blocks.model import Frozen
from blocks.plain_text import plain
from tasks.ops.asking import model_for

if TYPE_CHECKING:
    from tasks.ops.performer import Performer

TASK = (
    "You tell an engineer of operations in two to four plain sentences what this report means: what matters most, the "
    "likeliest reason where the report shows one, what to do first. Name nothing that the report does not name, and no "
    "number that it does not give."
)
MATERIAL_CHARS = 30_000


class Worded(Frozen):
    """A report with a summary.

    Attributes:
        summary: What it means, in a few sentences; empty where nobody wrote them.
        written_by: Who wrote the summary: `rules`, or a model.
    """

    summary: str = ""
    written_by: str = "rules"


class Summary(Frozen):
    """What a model answers."""

    summary: str = Field(min_length=1, max_length=1200)


W = TypeVar("W", bound=Worded)


async def worded(performer: "Performer", report: W, text: str, task: str = TASK) -> W:
    """A report with a model's summary; as it is in a dry run, and where no model is asked or its answer cannot be used.

    Args:
        performer: Of the run; says whether a model is asked.
        report: The report.
        text: The report for people, which is what the model sees.
        task: What is wanted of it.

    Raises:
        Stopped: a switch stopped the run.
    """
    wanted = performer.ask_model and not performer.dry_run  # words of a dry run are not worth their price
    async with model_for(performer.user, performer.flow, performer.redactor, wanted=wanted) as model:
        answer = await model.ask(task, text[:MATERIAL_CHARS], Summary)
    if answer is None:
        return report
    said, name = answer
    return report.model_copy(update={"summary": performer.redactor.text(said.summary), "written_by": name})


def summary_lines(report: Worded) -> list[str]:
    """The summary as lines of Markdown in which nothing that a model wrote can call somebody; none without one."""
    if not report.summary:
        return []
    said = inert(" ".join(plain(line) for line in report.summary.splitlines()))
    return [said if report.written_by == "rules" else f"{said} (Written by {code(plain(report.written_by))}.)", ""]
