"""What an agent is told after the first prompt. Each text stands alone: the conversation before it may be lost."""

from collections.abc import Sequence

from tasks.sessions.outcome import Outcome

CONTINUE = """\
Your work on the task below has ended, and it is not done.{why}
What you have made is still in your workspace. Look at it first, keep what is right, and do only what is missing. \
Do not create files anew that have content: add to them, or change them.{files}
The task was:

{goal}"""

ANSWER = """\
You asked:

{question}

The answer is:

{answer}

Go on with the task below. What you have made is still in your workspace: look at it first, and do only what is \
missing.{files}
The task was:

{goal}"""

WHY = {
    "max_turns": " Your turns were used up.",
    "silent_stop": " You stopped without calling any tool: work with your tools until all is there.",
    "interrupted": " You were interrupted.",
    "error": " A call failed.",
    "needs_input": " Nobody can answer questions: decide for yourself, and tell what you decided.",
}


def continue_text(goal: str, outcome: Outcome, files: Sequence[str] = ()) -> str:
    """The prompt that goes on with a task.

    Args:
        goal: Its first prompt.
        outcome: What came of the last turn.
        files: Paths of the files that came with it.
    """
    missing = f"\n\nThis is missing:\n{outcome.missing}\n" if outcome.missing else ""
    return CONTINUE.format(goal=goal, why=f"{WHY.get(outcome.kind, '')}{missing}", files=_files(files))


def answer_text(goal: str, question: str, answer: str, files: Sequence[str] = ()) -> str:
    """The prompt that answers a question of the agent."""
    return ANSWER.format(goal=goal, question=question, answer=answer, files=_files(files))


def _files(files: Sequence[str]) -> str:
    return f"\nThe files that came with it: {', '.join(files)}." if files else ""
