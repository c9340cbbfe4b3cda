"""How a swarm that could not go on ends: with the error that stopped it, and what is done kept."""

from blocks.errors import C500Error
from tasks.swarm.report import SwarmReport


def halted(error: C500Error, report: SwarmReport) -> C500Error:
    """The error for the caller: of the same kind, saying how much is done."""
    done = report.answered + report.found
    return type(error)(
        f"{error.message}; {done:,} of {report.rows:,} rows are answered and kept, {report.left:,} are left",
        fix=f"{error.fix}; the same command goes on where this one stopped",
        **{**error.details, "answered": report.answered, "left": report.left, "cost_usd": report.cost_usd},
    )
