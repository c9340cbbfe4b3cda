"""What tokens cost by the price list, and what the books say that the jobs of a period cost."""

from datetime import timedelta
from pathlib import Path

import structlog
from pydantic import Field

from blocks.accounts.account import USD_UNIT
from blocks.accounts.books import Books
from blocks.accounts.checked import check_books
from blocks.accounts.file import read_accounts
from blocks.accounts.open import with_home
from blocks.contracts.broken import ContractBroken
from blocks.errors import C500Error, NotFound
from blocks.language.pool import USER
from blocks.model import Frozen
from tasks.quality.audit.period import Period

PER_MILLION = 1_000_000
SQLITE = "sqlite:///"

LONGEST_JOB = timedelta(days=7)
"""A job that failed is tried again within this: what it paid for before is kept and counts as its cost."""

log = structlog.stdlib.get_logger("c500")


def dearest_usd(path: Path) -> dict[str, tuple[float, float]]:
    """Of each model with a price, the dollars for a token of input and of output, at its dearest account.

    Args:
        path: `accounts.yaml`; without one, or with a wrong one, no price is known, and the log says so.
    """
    try:
        accounts = read_accounts(path.expanduser()).accounts
    except NotFound:
        return {}
    except C500Error as error:
        log.warning("audit_without_prices", error=error.message.splitlines()[0])
        return {}
    prices: dict[str, tuple[float, float]] = {}
    unpriced: set[str] = set()
    for account in accounts:
        for name, model in account.models.items():
            if model.price is None:
                unpriced.add(name)
                continue
            own = (model.price.input_usd / PER_MILLION, model.price.output_usd / PER_MILLION)
            known = prices.get(name, (0.0, 0.0))
            prices[name] = (max(known[0], own[0]), max(known[1], own[1]))
    return {name: price for name, price in prices.items() if name not in unpriced}


class Booked(Frozen):
    """What the books say of a period.

    Attributes:
        usd: What the calls for jobs cost; None when the books cannot be read, or there are none.
        by_job: The same by job, also of calls of some days before: jobs are at work over midnight, and tried again.
        faults: Calls that were booked twice or wrongly, and days whose sums are not theirs; None as `usd`.
    """

    usd: float | None = None
    by_job: dict[str, float] = Field(default_factory=dict[str, float])
    faults: int | None = None


def read_booked(url: str, period: Period) -> Booked:
    """What the books say of a period; nothing when they cannot be read, or there are none.

    Args:
        url: BOOKS_URL.
        period: Which.
    """
    from sqlalchemy.exc import SQLAlchemyError

    url = with_home(url)
    if url.startswith(SQLITE) and not Path(url.removeprefix(SQLITE)).exists():  # opening it would make it
        return Booked()
    books = Books(url)
    try:
        return Booked(usd=_usd(books, period), by_job=_usd_by_job(books, period), faults=books_faults(books, period))
    except (C500Error, SQLAlchemyError) as error:
        log.warning("audit_without_books", error=str(error))
        return Booked()
    finally:
        books.close()


def books_faults(books: Books, period: Period) -> int:
    """How often the books of a period break their contracts: calls that are there twice, sums that are not those."""
    try:
        check_books(books, period.since.timestamp(), period.until.timestamp())
    except ContractBroken as error:
        return int(error.details["count"])
    return 0


def _usd(books: Books, period: Period) -> float:
    from sqlalchemy import func, select

    from blocks.accounts.every_call import every_call

    calls = every_call().c
    wanted = (
        calls.user == USER,
        calls.at >= period.since.timestamp(),
        calls.at < period.until.timestamp(),
    )
    with books.engine().connect() as connection:
        units = connection.execute(select(func.coalesce(func.sum(calls.cost_units), 0)).where(*wanted)).scalar()
    return int(units or 0) / USD_UNIT


def _usd_by_job(books: Books, period: Period) -> dict[str, float]:
    from sqlalchemy import func, select

    from blocks.accounts.every_call import every_call

    calls = every_call().c
    wanted = (
        calls.user == USER,
        calls.job != "",
        calls.at >= (period.since - LONGEST_JOB).timestamp(),
        calls.at < period.until.timestamp(),
    )
    sums = select(calls.job, func.sum(calls.cost_units)).where(*wanted).group_by(calls.job)
    with books.engine().connect() as connection:
        return {job: int(units) / USD_UNIT for job, units in connection.execute(sums)}
