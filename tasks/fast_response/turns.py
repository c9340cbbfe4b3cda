"""Turns of conversations that need a quick reply."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from blocks.errors import BadInput
from blocks.faults import faults_of
from blocks.model import Frozen
from blocks.rows.read import read_rows

Intent = Literal["positive", "negative", "neutral", "fallback", "silence"]
"""How the child answered; `fallback`: not understood or beside the matter; `silence`: not at all."""

Role = Literal["assistant", "user"]

Given = str | Sequence[Mapping[str, Any]]
"""Path of a JSONL file, or the turns themselves."""


class Utterance(Frozen):
    """What one of the two said.

    Attributes:
        role: Who; the child is the `user`.
        content: The words, in whatever language.
    """

    role: Role
    content: str


class Turn(Frozen):
    """A conversation up to where the quick reply is needed.

    Attributes:
        id: Of whoever asks; where there is none, the turn's number.
        intent: What is known of how the child answered.
        history: Who said what, oldest first. Where the assistant spoke last, the child is silent.
    """

    id: str = ""
    intent: Intent | None = None
    history: tuple[Utterance, ...] = Field(min_length=1)

    @property
    def heard(self) -> tuple[Utterance, ...]:
        """The history with the child at its end, who may have said nothing."""
        if self.history[-1].role == "user":
            return self.history
        return (*self.history, Utterance(role="user", content=""))


FORM = TypeAdapter(Turn)
MOST_TOLD = 10
"""So many faults are in the message, a line each; `details["problems"]` has all."""


def read_turns(given: Given) -> list[Turn]:
    """All turns.

    Raises:
        NotFound, Unsupported: there is no such file, or it is no table.
        BadInput: some are of another form, or there are none; `details["problems"]` has every fault, with its turn.
    """
    turns: list[Turn] = []
    wrong: list[tuple[int, str]] = []
    number = 0
    try:
        for number, row in enumerate(read_rows(given), start=1):
            try:
                turns.append(_turn(row, number))
            except ValidationError as error:
                wrong += [(number, f"{fault.where}: {fault.what}") for fault in faults_of(error, FORM, json=True)]
    except BadInput as error:  # behind this one nothing can be read
        if not wrong:
            raise
        wrong.append((number + 1, error.message))
    if wrong:
        raise _wrong(wrong)
    if not turns:
        raise BadInput("there are no turns", fix="give at least one", field="turns")
    return turns


def _turn(row: Mapping[str, Any], number: int) -> Turn:
    turn = FORM.validate_python(row)
    return turn if turn.id else turn.model_copy(update={"id": str(number)})


def _wrong(faults: Sequence[tuple[int, str]]) -> BadInput:
    problems = [f"turn {number}: {what}" for number, what in faults]
    more = [f"and {len(problems) - MOST_TOLD} more"] if len(problems) > MOST_TOLD else []
    return BadInput(
        "\n".join([*problems[:MOST_TOLD], *more]),
        fix='write {"id": …, "intent": …, "history": [{"role": "assistant" or "user", "content": …}]}',
        field="turns",
        row=faults[0][0],
        problems=problems,
    )
