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


def read_turns(given: Given) -> list[Turn]:
    """All turns.

    Raises:
        NotFound, Unsupported: there is no such file, or it is no table.
        BadInput: one is of another form; the error names its row, or there is none.
    """
    turns = [_turn(row, number) for number, row in enumerate(read_rows(given), start=1)]
    if not turns:
        raise BadInput("there are no turns", fix="give at least one", field="turns")
    return turns


def _turn(row: Mapping[str, Any], number: int) -> Turn:
    try:
        turn = FORM.validate_python(row)
    except ValidationError as error:
        faults = [f"{fault.where}: {fault.what}" for fault in faults_of(error, FORM)]
        raise BadInput(
            f"turn {number}: {'; '.join(faults)}",
            fix='write {"id": …, "intent": …, "history": [{"role": "assistant" or "user", "content": …}]}',
            field="turns",
            row=number,
        ) from None
    return turn if turn.id else turn.model_copy(update={"id": str(number)})
