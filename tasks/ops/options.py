"""How an operations flow is run."""

from typing import Annotated

from pydantic import Field, StringConstraints

from blocks.model import Frozen

RunId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]


class OperationsOptions(Frozen):
    """Options that all operations flows share.

    Attributes:
        dry_run: Only say what would be done; nothing is changed, nobody is asked.
        profile: Which profile of the operations policy; None for OPERATIONS_PROFILE.
        user: For whom it is done; None for who runs it. This person cannot approve.
        attended: Whether somebody can be asked; else what needs a person is refused.
        approval_s: Seconds that a question to a person stands.
        ask_model: Whether a model words reports and proposes, where there are accounts; it never decides.
        run_id: Of a run to go on with after a crash; None for a new one.
    """

    dry_run: bool = False
    profile: str | None = Field(default=None, pattern=r"^[a-z][a-z0-9-]*$")
    user: str | None = None
    attended: bool = True
    approval_s: float = Field(default=3600, gt=0, le=30 * 86_400)
    ask_model: bool = True
    run_id: RunId | None = None


DEFAULTS = OperationsOptions()
