"""A fix that a model proposes: texts of the test file to put in place of others, and nothing else."""

from pydantic import Field

from blocks.model import Frozen
from tasks.ops.asking import Model
from tasks.ops.change.looked_at import parsed
from tasks.ops.fixing.rules import Failing, Proposal

TEXT_CHARS, SOURCE_CHARS = 30_000, 20_000
TASK = (
    "A test fails because the code that it tests was changed on purpose. Put the test right by the smallest edits "
    "of the test file; say for each the exact text that stands there once, and what comes in its place. Keep every "
    "test and every assertion as strong as it is; skip nothing; expect no value that the change of the source does "
    "not show. "
    "Where the code is wrong, or you are not sure, give no edits."
)


class Edit(Frozen):
    """A text in place of another."""

    old: str = Field(min_length=1, max_length=5000)
    new: str = Field(max_length=5000)


class Answer(Frozen):
    """What a model answers."""

    edits: tuple[Edit, ...] = Field(max_length=10)
    why: str = Field(max_length=500)


async def asked_of(model: Model, failing: Failing) -> Proposal | None:
    """The fix that a model proposes; None where it has none, or one that cannot be applied."""
    sources = "\n\n".join(
        f"--- {path} before\n{failing.changes.before.get(path, '')}\n+++ {path} after\n{text}"
        for path, text in failing.changes.after.items()
    )
    material = (
        f"# Test file {failing.path}\n{failing.text[:TEXT_CHARS]}\n\n# It fails\n{failing.told[:6000]}\n\n"
        f"# Sources that changed\n{sources[:SOURCE_CHARS]}"
    )
    found = await model.ask(TASK, material, Answer)
    if found is None or not found[0].edits:
        return None
    text = failing.text
    for edit in found[0].edits:
        if text.count(edit.old) != 1:
            return None
        text = text.replace(edit.old, edit.new)
    if text == failing.text or parsed(text) is None:
        return None
    explained = tuple(new for _, new in failing.changes.replaced_constants())
    return Proposal(f"model {found[1]}", text, found[0].why, explained=explained)
