"""Opening the account pool that the settings name."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from blocks.accounts.books import Books
from blocks.accounts.cache import Cache
from blocks.accounts.costs import reseed_from
from blocks.accounts.embed import ServerEmbedder
from blocks.accounts.file import read_accounts
from blocks.accounts.pool import Pool
from blocks.accounts.secrets import Secrets
from blocks.limits import open_limiter
from blocks.settings import settings


@asynccontextmanager
async def open_pool(path: Path | None = None) -> AsyncGenerator[Pool]:
    """The pool of an accounts file, with the limiter and the books that the settings name; closed with the block.

    Args:
        path: The file; by default ACCOUNTS_FILE.

    Raises:
        NotFound, BadInput: the file is not there, or wrong.
    """
    chosen = settings()
    file = (path or chosen.accounts_file).expanduser()
    accounts = read_accounts(file)
    books = Books(with_home(chosen.books_url))
    cache = Cache(books, _embedder())
    limiter = open_limiter(with_home(chosen.limiter_url), reseed=reseed_from(books))
    pool = Pool(accounts, limiter, books, Secrets(file.parent), cache)
    try:
        yield pool
    finally:
        await pool.close()


def _embedder() -> ServerEmbedder | None:
    chosen = settings()
    if chosen.embedding_url is None:
        return None
    return ServerEmbedder(str(chosen.embedding_url), chosen.embedding_model, chosen.embedding_api_key)


def with_home(url: str) -> str:
    """A URL whose path may begin with `~`."""
    scheme, _, place = url.partition(":///")
    return f"{scheme}:///{Path(place).expanduser()}" if place.startswith("~") else url
