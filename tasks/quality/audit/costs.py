"""What tokens cost by the price list, and what the books say that the jobs of a period cost."""

from pathlib import Path

import structlog

from blocks.accounts.account import USD_UNIT
from blocks.accounts.books import Books
from blocks.accounts.file import read_accounts
from blocks.accounts.open import with_home
from blocks.errors import C500Error, NotFound
from blocks.language.pool import USER
from tasks.quality.audit.period import Period

PER_MILLION = 1_000_000
SQLITE = "sqlite:///"

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


def booked_usd(url: str, period: Period) -> float | None:
    """What the calls for jobs cost in a period, by the books; None when they cannot be read, or there are none.

    Args:
        url: BOOKS_URL.
        period: Which.
    """
    from sqlalchemy import func, select
    from sqlalchemy.exc import SQLAlchemyError

    from blocks.accounts.schema import CALLS

    url = with_home(url)
    if url.startswith(SQLITE) and not Path(url.removeprefix(SQLITE)).exists():  # opening it would make it
        return None
    books = Books(url)

    wanted = (
        CALLS.c.user == USER,
        CALLS.c.at >= period.since.timestamp(),
        CALLS.c.at < period.until.timestamp(),
    )
    try:
        with books.engine().connect() as connection:
            units = connection.execute(select(func.coalesce(func.sum(CALLS.c.cost_units), 0)).where(*wanted)).scalar()
    except (C500Error, SQLAlchemyError) as error:
        log.warning("audit_without_books", error=str(error))
        return None
    finally:
        books.close()
    return int(units or 0) / USD_UNIT
