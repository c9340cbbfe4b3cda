"""The fixtures' own test: real servers, that want their passwords."""

import asyncio
from urllib.parse import urlsplit

import asyncpg
import pytest
import redis

from tests.databases import new_database


def test_redis_wants_its_password(redis_url: str) -> None:
    assert redis.Redis.from_url(redis_url).ping()
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=urlsplit(redis_url).port).ping()


def test_every_new_database_is_empty_and_another(postgres_url: str) -> None:
    async def tables(url: str, *statements: str) -> int:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
            return await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        finally:
            await connection.close()

    first, second = new_database(postgres_url), new_database(postgres_url)
    assert asyncio.run(tables(first, "CREATE TABLE jobs (id int)")) == 1
    assert asyncio.run(tables(second)) == 0


def test_postgres_wants_its_password(postgres_url: str) -> None:
    async def connect() -> None:
        port = urlsplit(postgres_url).port
        await asyncpg.connect(host="127.0.0.1", port=port, user="postgres", password="wrong", database="postgres")

    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(connect())
