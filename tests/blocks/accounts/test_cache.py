"""Earlier answers: to which requests, for whom, and what happens when the database fails."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from blocks.accounts.books import Books
from blocks.accounts.cache import Cache, Caches
from blocks.accounts.chat import Answer, Caller, ChatReply, ChatRequest
from blocks.accounts.schema import CACHE
from blocks.errors import TimedOut
from tests.blocks.accounts.conftest import asked
from tests.databases import new_database
from tests.processes import eventually

ANNA = Caller(user="anna", cache_ttl_s=60)
ALIKE = Caller(user="anna", cache_ttl_s=60, similar=0.9)


class OneVector:
    """An embedder for which all texts mean the same."""

    name = "one"

    async def embed(self, text: str) -> "np.ndarray[Any, Any]":
        return np.ones(1, dtype=np.float32)


def an_answer(text: str) -> Answer:
    return Answer(reply=ChatReply(text=text), model="small", account="one", cost_usd=0.1, latency_s=1.0)


async def answered(caches: Caches, request: ChatRequest, caller: Caller, text: str = "new") -> Answer:
    """The answer, by a model that says this text."""

    async def call() -> Answer:
        return an_answer(text)

    return await caches.answer(request, caller, call)


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    made = Books(f"sqlite:///{tmp_path}/books.db")
    yield made
    made.close()


def shown(text: str, picture: str) -> ChatRequest:
    parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": f"https://pictures/{picture}"}}]
    return ChatRequest(messages=({"role": "user", "content": parts},))


async def test_a_similar_question_about_another_picture_is_another_question(books: Books) -> None:
    caches = Caches(Cache(books, OneVector()), books)
    await answered(caches, shown("What is this?", "cat.png"), ALIKE, "a cat")
    again = await answered(caches, shown("What is that?", "cat.png"), ALIKE)
    other = await answered(caches, shown("What is this?", "dog.png"), ALIKE, "a dog")
    assert (again.reply.text, again.cached) == ("a cat", "semantic")
    assert (other.reply.text, other.cached) == ("a dog", None)


async def test_a_text_and_the_same_text_as_a_part_are_similar(books: Books) -> None:
    caches = Caches(Cache(books, OneVector()), books)
    await answered(caches, asked("hello"), ALIKE)
    parts = asked().model_copy(update={"messages": ({"role": "user", "content": [{"type": "text", "text": "hi"}]},)})
    assert (await answered(caches, parts, ALIKE)).cached == "semantic"


class Counting(Cache):
    """Counts the requests that it had no answer for: they are in flight, or join one that is."""

    missed = 0

    async def exact(self, key: str, ttl_s: float) -> Answer | None:
        found = await super().exact(key, ttl_s)
        self.missed += found is None
        return found


async def test_who_has_more_time_does_not_share_the_time_out_of_another(books: Books) -> None:
    cache = Counting(books)
    caches, go_on = Caches(cache, books), asyncio.Event()

    async def too_late() -> Answer:
        await go_on.wait()
        raise TimedOut("no answer within 0.3 s", fix="give it more time")

    hasty = asyncio.create_task(caches.answer(asked(), ANNA, too_late))
    await eventually(lambda: cache.missed == 1)
    patient = [asyncio.create_task(answered(caches, asked(), ANNA)) for _ in range(3)]
    await eventually(lambda: cache.missed == 4)
    go_on.set()
    with pytest.raises(TimedOut):
        await hasty
    assert sorted(str(answer.cached) for answer in await asyncio.gather(*patient)) == ["None", "exact", "exact"]


async def test_accounts_of_other_labels_are_asked_themselves(books: Books) -> None:
    cache = Counting(books)
    caches, go_on = Caches(cache, books), asyncio.Event()

    async def slow() -> Answer:
        await go_on.wait()
        return an_answer("of any account")

    first = asyncio.create_task(caches.answer(asked(), ANNA, slow))
    await eventually(lambda: cache.missed == 1)
    labelled = ANNA.model_copy(update={"labels": ("local",)})
    assert (await answered(caches, asked(), labelled, "of a local one")).reply.text == "of a local one"
    go_on.set()
    assert (await first).reply.text == "of any account"


@pytest.mark.parametrize("server", ["sqlite", "postgresql"])
async def test_many_keep_the_same_answer_at_once(tmp_path: Path, request: pytest.FixtureRequest, server: str) -> None:
    url = f"sqlite:///{tmp_path}/many.db"
    if server == "postgresql":
        url = await asyncio.to_thread(new_database, request.getfixturevalue("postgres_url"))
    books = Books(url)
    cache = Cache(books)
    with capture_logs() as logs:
        await asyncio.gather(*(cache.keep("key", "scope", None, an_answer(f"{n}")) for n in range(20)))
    with books.engine().connect() as connection:
        assert connection.execute(select(func.count()).select_from(CACHE)).scalar() == 1
    assert await cache.exact("key", 60) is not None
    assert logs == []
    books.close()


async def test_a_database_that_fails_costs_no_answer(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_text("no database " * 1_000)
    books = Books(f"sqlite:///{tmp_path}/broken.db")
    with capture_logs() as logs:
        answer = await answered(Caches(Cache(books, OneVector()), books), asked(), ALIKE)
    assert (answer.reply.text, answer.cached) == ("new", None)
    assert [line["event"] for line in logs] == 3 * ["cache_failed"]  # the exact one, the similar one, the new one
    assert "not a database" in logs[0]["error"]


async def test_an_answer_that_no_database_takes_is_given_all_the_same(books: Books) -> None:
    answer = await answered(Caches(Cache(books), books), asked(), ANNA, "half a letter: \ud800")
    assert answer.reply.text.startswith("half a letter")


async def test_a_kept_answer_of_another_form_is_no_answer(books: Books) -> None:
    cache = Cache(books)
    await cache.keep("key", "scope", None, an_answer("old"))
    with books.engine().begin() as connection:
        connection.execute(CACHE.update().values(answer='{"form": "of another version"}'))
    assert await cache.exact("key", 60) is None
