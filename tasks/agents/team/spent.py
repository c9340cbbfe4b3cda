"""What a specialist's run has cost, where it ended without a result that says so."""

from blocks.accounts.booked import booked
from blocks.accounts.books import Books
from blocks.accounts.open import with_home
from blocks.progress import in_thread
from blocks.settings import settings
from tasks.agents.result import AgentUsage


async def spent_by(run_id: str) -> AgentUsage:
    """The cost of a run by the books, over all its attempts; nothing where they cannot be read."""
    books = Books(with_home(settings().books_url))
    try:
        found = await booked(books, run_id)
    finally:
        await in_thread(books.close)
    return AgentUsage() if found is None else AgentUsage(cost_usd=round(found.cost_usd, 9))
