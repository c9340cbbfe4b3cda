"""What the coordinator wants to know of the user before it plans."""

from blocks.model import Frozen
from tasks.dispatch.asking import asking
from tasks.dispatch.means import means
from tasks.dispatch.prompts import Brief, clarify_prompt
from tasks.dispatch.request import Coordinator
from tasks.dispatch.result import Question
from tasks.dispatch.spent import Spent


class QuestionsAnswer(Frozen):
    """What the model answers: no question when the request is clear."""

    questions: tuple[Question, ...]


class Questions(Frozen):
    """The questions, and what it took to find them."""

    questions: tuple[Question, ...]
    spent: Spent


@asking("clarify")
async def clarify_step(dispatch_id: str, brief: Brief, most: int, by: Coordinator) -> Questions:
    """Questions to the user, at most so many.

    Raises:
        EngineFailed: the model's answer cannot be read.
        C500Error: as `Means.complete`.
    """
    found = await means().ask(by.asked(clarify_prompt(brief, most)), QuestionsAnswer)
    return Questions(questions=found.value.questions[:most], spent=Spent.of_all(found.answers))
