"""Cost and budgets, by the books and the accounts file of the settings."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from blocks.errors import NotFound
from blocks.settings import settings
from tasks.quality.report.jobs import over_time
from tasks.quality.report.period import Period
from tasks.quality.report.report import Part

if TYPE_CHECKING:
    from sqlalchemy import Engine


@contextmanager
def open_books() -> "Generator[Engine]":
    """The database of the books. Raises `BadInput`, and what SQLAlchemy raises."""
    from blocks.accounts.books import Books
    from blocks.accounts.open import with_home

    books = Books(with_home(settings().books_url))
    try:
        yield books.engine()
    finally:
        books.close()


def read_costs(period: Period) -> Part:
    """What calls of models cost in a period."""
    from tasks.quality.report import costs

    with open_books() as engine:
        now, before = costs.read_costs(engine, period)
    if not now.whole.calls and not before.whole.calls:
        return Part(name="costs", title="Cost", notes=("No model was called through the accounts.",))
    return Part(
        name="costs",
        title="Cost",
        figures=tuple(costs.cost_figures(now, before)),
        tables=costs.cost_tables(now),
        charts=(*over_time("Cost", now.slices, before.slices, period, "usd"), *costs.cost_chart(now)),
    )


def read_budgets(period: Period) -> Part:
    """Budgets at the end of a period."""
    from blocks.accounts.file import read_accounts
    from tasks.quality.report.budgets import budget_part

    try:
        accounts = read_accounts(settings().accounts_file.expanduser())
    except NotFound:  # nobody has set any up
        accounts = None
    with open_books() as engine:
        return budget_part(engine, accounts, period.until)
