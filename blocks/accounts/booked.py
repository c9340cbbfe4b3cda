"""What a job cost by the books, so that its report and `c500 costs` can be held against each other."""

import structlog
from sqlalchemy.exc import SQLAlchemyError

from blocks.accounts.books import Books
from blocks.accounts.checked import check_calls_of
from blocks.accounts.costs import JobCost, cost_of_job
from blocks.errors import C500Error
from blocks.progress import in_thread

log = structlog.stdlib.get_logger("c500")


async def booked(books: Books, job: str) -> JobCost | None:
    """What the books say of all calls of a job; None when they cannot be read, or have a call twice.

    No job fails for that; the log says why.
    """
    try:
        return await in_thread(_read, books, job)
    except (C500Error, SQLAlchemyError) as error:
        log.warning("the books of a job cannot be read", job=job, error=str(error))
        return None


def _read(books: Books, job: str) -> JobCost:
    books.flush()  # what was entered within the last half second
    check_calls_of(books.engine(), job)
    return cost_of_job(books.engine(), job)
