"""What is raised where a table breaks its contract."""

from collections.abc import Sequence
from typing import Any, ClassVar

from blocks.errors import C500Error
from blocks.plain_text import cut, plain

FAULTS_NAMED = 3
"""In the message; the details have more."""

FAULTS_KEPT = 50
"""In the details, which travel through Prefect's database."""

FOUND_CHARS = 60


class ContractBroken(C500Error):
    """A table that is not what its contract says; `details["faults"]` names row, column, rule and value."""

    code: ClassVar[str] = "CONTRACT_BROKEN"


def broken(contract: str, faults: Sequence[str], *, fix: str, what: str = "", **details: Any) -> ContractBroken:
    """The error of a table with these faults.

    Args:
        contract: Name of the contract.
        faults: One line each, all of them.
        fix: How to put it right.
        what: Which table it is, for people.
        details: More facts for programs.
    """
    more = len(faults) - FAULTS_NAMED
    named = "; ".join(faults[:FAULTS_NAMED]) + (f"; and {more:,} more" if more > 0 else "")
    count = "1 fault" if len(faults) == 1 else f"{len(faults):,} faults"
    return ContractBroken(
        f"{what or contract}: {count} against the contract {contract!r}: {named}",
        fix=fix,
        contract=contract,
        faults=list(faults[:FAULTS_KEPT]),
        count=len(faults),
        **details,
    )


def shown(value: object) -> str:
    """A value that was found, short, on one line, and without secrets."""
    from blocks.redact import default_redactor

    if isinstance(value, float):
        return f"{value:.12g}"  # 12 digits of any number of seconds are below a microsecond
    if not isinstance(value, str):
        return plain(cut(str(value), FOUND_CHARS))
    text = default_redactor().text(value[: 4 * FOUND_CHARS])
    return f"'{plain(cut(text, FOUND_CHARS))}'"
