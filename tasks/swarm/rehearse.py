"""A swarm rehearsed: all rows read and all prompts made, nothing asked, nothing written."""

from blocks.accounts.pool import Pool
from blocks.progress import in_thread
from tasks.swarm.estimate import estimate
from tasks.swarm.job import SwarmJob
from tasks.swarm.ledger import read_ledger
from tasks.swarm.report import SwarmReport, report_of
from tasks.swarm.run import SwarmRun
from tasks.swarm.survey import survey


async def rehearse(job: SwarmJob, pool: Pool) -> SwarmReport:
    """What a job would cost, how long it would take and which limit binds.

    Raises:
        BadInput: a row cannot be read, or lacks a column that the prompt names.
        Conflict: the output holds answers to another question.
        Unsupported: no account has such a model, or such a label.
    """
    ledger = read_ledger(job)
    found = await in_thread(survey, job, ledger)
    expected = await estimate(job, pool, found)
    return report_of(SwarmRun(job, pool, ledger, found), expected).model_copy(update={"dry_run": True})
