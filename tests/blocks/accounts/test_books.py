"""The books: written by many at once, in spite of failures, and whatever a row holds."""

import multiprocessing
import threading
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import func, select

from blocks.accounts.books import Books, Entry
from blocks.accounts.chat import Caller, TokenUsage
from blocks.accounts.schema import CALLS, TOTALS, open_engine
from blocks.errors import StoreFailed
from tests.databases import new_database

SERVERS = ["sqlite", "postgresql"]


@pytest.fixture(params=SERVERS)
def books_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/books.db"
    return new_database(request.getfixturevalue("postgres_url"))


def an_entry(number: int) -> Entry:
    return Entry(at=1e9 + number, account="one", model="m", user="u", outcome="ok", prompt_tokens=number, cost_units=7)


def write_books(url: str, count: int) -> None:
    books = Books(url)
    for number in range(count):
        books.write(an_entry(number))
    books.close()


def sums(url: str) -> tuple[int, int, int, int]:
    books = Books(url)
    with books.engine().connect() as connection:
        calls = connection.execute(select(func.count(), func.sum(CALLS.c.prompt_tokens)).select_from(CALLS)).one()
        total = connection.execute(select(func.sum(TOTALS.c.calls), func.sum(TOTALS.c.prompt_tokens))).one()
    books.close()
    return (*calls, *total)


def test_processes_write_one_book(books_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_books, args=(books_url, 500)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert sums(books_url) == (1500, 3 * sum(range(500)), 1500, 3 * sum(range(500)))


def test_what_is_left_is_tried_again_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "later").write_text("no folder yet")
    books = Books(f"sqlite:///{tmp_path}/later/books.db")
    books.write(an_entry(1))
    with pytest.raises(StoreFailed):
        books.flush()
    closing = threading.Thread(target=books.close)
    closing.start()
    closing.join(timeout=1)
    (tmp_path / "later").unlink()
    closing.join()
    assert sums(f"sqlite:///{tmp_path}/later/books.db") == (1, 1, 1, 1)


def open_at_once(url: str, barrier: Barrier) -> None:
    barrier.wait()
    open_engine(url).dispose()


def test_processes_that_start_together_make_the_tables_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    url = f"sqlite:///{tmp_path}/books.db"
    processes = [context.Process(target=open_at_once, args=(url, barrier)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0


def test_books_that_cannot_be_written_say_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    books = Books(f"sqlite:///{tmp_path}/file/books.db")
    books.write(an_entry(1))
    with pytest.raises(StoreFailed, match="books"):
        books.flush()


WRONG: list[dict[str, Any]] = [
    {"user": "a\0b"},  # PostgreSQL refuses it
    {"session": "\ud800"},  # both do
    {"prompt_tokens": 10**20},  # both do
]


@pytest.mark.parametrize("wrong", WRONG, ids=["nul", "surrogate", "too-many"])
def test_a_row_that_the_database_refuses_keeps_no_other_out(books_url: str, wrong: dict[str, Any]) -> None:
    books = Books(books_url)
    for number in range(5):
        books.write(replace(an_entry(number), **(wrong if number == 2 else {})))
    books.flush()
    books.write(an_entry(5))
    books.close()
    stored = "user" in wrong and books_url.startswith("sqlite")  # a NUL is a letter like others there
    assert sums(books_url) == 2 * (5 + stored, sum((0, 1, 3, 4, 5)) + 2 * stored)


@pytest.mark.parametrize("field", ["user", "session", "job"])
@pytest.mark.parametrize("text", ["a\0b", "\udfff"])
def test_a_caller_that_no_database_takes_is_refused(field: str, text: str) -> None:
    with pytest.raises(ValidationError, match="NUL or half of a surrogate pair"):
        Caller.model_validate({field: text})
    assert Caller.model_validate({field: "Nguyễn 🙂"})


def test_more_tokens_than_any_call_has_are_no_usage() -> None:
    with pytest.raises(ValidationError, match="less than or equal"):
        TokenUsage(prompt_tokens=10**17)
