"""What only the limiter in Redis has to stand: restarts, lost books, servers that are away."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence

import pytest

from blocks.errors import EngineUnavailable
from blocks.limits import script
from blocks.limits.limit import Limit, Reservation
from blocks.limits.redis import RedisLimiter
from tests.blocks.limits.worlds import SOON_S, Clock, granted, limit, new_prefix, option, refused, used_up
from tests.databases import DatabaseServer, redis_server

RATE = limit("rate", 5, window_s=60)
CALLS = limit("calls", 5, "concurrency")
DAY = limit("day", 10, "calendar")
ALL = [RATE, CALLS, DAY]
CALL = option("call", (RATE, 1), (CALLS, 1), (DAY, 1))
LEASE_S = 120.0


@pytest.fixture(params=[False, True], ids=["forgetful", "persistent"])
def server(request: pytest.FixtureRequest) -> Iterator[DatabaseServer]:
    """A server to kill, that keeps nothing or everything."""
    with redis_server(keeps_all=request.param) as made:
        yield made


@pytest.fixture
async def limiter(server: DatabaseServer, clock: Clock) -> AsyncGenerator[RedisLimiter]:
    """On a server to kill."""
    made = RedisLimiter(server.url, clock=clock)
    yield made
    await made.close()


def restart(server: DatabaseServer) -> None:
    """Kill and start again."""
    server.kill()
    server.start()


async def books(limiter: RedisLimiter) -> list[tuple[int, int]]:
    """What was used and what is held, of each limit."""
    return [(one.settled, one.held) for one in await limiter.standing(ALL)]


async def test_nothing_is_granted_while_redis_is_away(limiter: RedisLimiter, server: DatabaseServer) -> None:
    running = await granted(limiter, CALL)
    server.kill()
    for _ in range(2):
        with pytest.raises(EngineUnavailable, match="cannot be used"):
            await limiter.reserve([CALL])
    for asking in (limiter.settle(running), limiter.release(running), limiter.extend(running), limiter.block("a", 1)):
        with pytest.raises(EngineUnavailable):
            await asking
    with pytest.raises(EngineUnavailable):
        await limiter.standing(ALL)
    server.start()
    await limiter.settle(running)
    assert (await books(limiter))[0] == (1, 0)


async def test_a_restart_closes_everything_until_lost_calls_are_over(
    limiter: RedisLimiter, server: DatabaseServer, clock: Clock
) -> None:
    await granted(limiter, CALL)
    restart(server)
    for one in ALL:
        refusal = await refused(limiter, option("call", (one, 1)))
        assert refusal.keys == (one.key,)
        assert refusal.wait_s == pytest.approx(LEASE_S)
    assert [standing.blocked_s for standing in await limiter.standing(ALL)] == pytest.approx([LEASE_S] * 3)
    clock.tick(LEASE_S - 1)
    await refused(limiter, CALL)
    clock.tick(1 + SOON_S)
    await granted(limiter, CALL)


async def test_a_window_longer_than_the_lease_is_closed_for_its_length(
    limiter: RedisLimiter, server: DatabaseServer, clock: Clock
) -> None:
    long = limit("long", 5, window_s=600)
    await granted(limiter, option("call", (long, 1)))
    restart(server)
    clock.tick(5)  # nobody knows how long ago the restart was
    assert (await refused(limiter, option("call", (long, 1)))).wait_s == pytest.approx(600)


async def test_every_restart_closes_anew(limiter: RedisLimiter, server: DatabaseServer, clock: Clock) -> None:
    for _ in range(3):
        await granted(limiter, CALL)
        restart(server)
        await refused(limiter, CALL)
        clock.tick(LEASE_S + SOON_S)


async def test_calls_that_outlive_a_restart_count(limiter: RedisLimiter, server: DatabaseServer, clock: Clock) -> None:
    settled, extended = [await granted(limiter, CALL) for _ in range(2)]
    restart(server)
    clock.tick(80)
    await limiter.settle(settled)
    await limiter.extend(extended, LEASE_S)
    assert await books(limiter) == [(1, 1), (0, 1), (1, 1)]
    clock.tick(80)
    await limiter.settle(extended)
    assert await books(limiter) == [(1, 0), (0, 0), (2, 0)]


async def test_a_release_after_a_restart_is_harmless(limiter: RedisLimiter, server: DatabaseServer) -> None:
    running = await granted(limiter, CALL)
    restart(server)
    await limiter.release(running)
    assert await books(limiter) == [(0, 0), (0, 0), (0, 0)]


@pytest.mark.parametrize("in_the_books", [0, 4, 9])
async def test_after_a_restart_durable_books_say_what_was_used_of_a_budget(
    server: DatabaseServer, clock: Clock, in_the_books: int
) -> None:
    asked: list[list[str]] = []

    async def reseed(limits: Sequence[Limit]) -> dict[str, int]:
        asked.append([one.key for one in limits])
        return {"day": in_the_books} if len(asked) > 1 else {}

    limiter = RedisLimiter(server.url, clock=clock, reseed=reseed)
    await limiter.settle(await granted(limiter, CALL))
    restart(server)
    await refused(limiter, CALL)
    assert asked == [["day"]], "not asked again before all calls of then are over and in the books"
    clock.tick(LEASE_S + SOON_S)
    answers = await asyncio.gather(*(limiter.reserve([option("call", (DAY, 1))]) for _ in range(20)))
    assert asked == [["day"], ["day"]]
    used = max(in_the_books, 1 if server.keeps_all else 0)
    assert sum(isinstance(answer, Reservation) for answer in answers) == DAY.amount - used
    await limiter.close()


async def test_without_durable_books_what_redis_lost_of_a_budget_is_forgotten(clock: Clock) -> None:
    with redis_server() as server:
        limiter = RedisLimiter(server.url, clock=clock)
        await used_up(limiter, DAY, 10)
        restart(server)
        clock.tick(200)
        await refused(limiter, CALL)
        clock.tick(200)
        await granted(limiter, CALL)
        await limiter.close()


async def test_flushed_books_are_noticed_by_who_knew_them(redis_url: str, clock: Clock) -> None:
    from redis.asyncio import Redis

    prefix = new_prefix()
    old, new = [RedisLimiter(redis_url, prefix=prefix, clock=clock) for _ in range(2)]
    await used_up(old, RATE, 5)
    async with Redis.from_url(redis_url) as redis:
        await redis.delete(*[key async for key in redis.scan_iter(f"{prefix}*")])
    clock.tick(1)
    await granted(new, CALL)  # it cannot know
    await refused(old, CALL)
    await refused(new, CALL)
    clock.tick(121)
    await granted(new, CALL)
    await granted(old, CALL)
    await old.close()
    await new.close()


async def test_a_flushed_script_is_loaded_again(redis_url: str, clock: Clock) -> None:
    from redis.asyncio import Redis

    limiter = RedisLimiter(redis_url, prefix=new_prefix(), clock=clock)
    await granted(limiter, CALL)
    async with Redis.from_url(redis_url) as redis:
        await redis.script_flush()
    await granted(limiter, CALL)
    await limiter.close()


async def test_a_clock_that_goes_back_frees_nothing(redis_url: str, clock: Clock) -> None:
    limiter = RedisLimiter(redis_url, prefix=new_prefix(), clock=clock)
    await used_up(limiter, RATE, 5)
    clock.tick(30)
    await refused(limiter, CALL)
    clock.tick(-86_400)
    assert (await refused(limiter, CALL)).wait_s == pytest.approx(30, abs=1)
    clock.tick(86_400 + 31)
    await granted(limiter, CALL)
    await limiter.close()


async def test_many_callers_at_once_get_what_there_is(redis_url: str) -> None:
    limiter = RedisLimiter(redis_url, prefix=new_prefix())
    hundred = limit("hundred", 100)
    answers = await asyncio.gather(*(limiter.reserve([option("call", (hundred, 1))]) for _ in range(300)))
    held = [answer for answer in answers if isinstance(answer, Reservation)]
    assert len(held) == 100
    await asyncio.gather(*(limiter.settle(one) for one in held))
    (standing,) = await limiter.standing([hundred])
    assert (standing.settled, standing.held) == (100, 0)
    await limiter.close()


async def test_keys_go_away_by_themselves(redis_url: str) -> None:
    from redis.asyncio import Redis

    prefix = new_prefix()
    limiter = RedisLimiter(redis_url, prefix=prefix)
    short = limit("short", 5, window_s=1)
    call = await granted(limiter, option("call", (short, 1), (DAY, 1), (CALLS, 1)), lease_s=1)
    await limiter.block("blocked", 50)
    await limiter.learn(limit("learned", 5), amount=3)
    await limiter.settle(call)
    async with Redis.from_url(redis_url, decode_responses=True) as redis:
        lives = {key.removeprefix(prefix): await redis.ttl(key) async for key in redis.scan_iter(f"{prefix}*")}
        assert lives.pop("state") == -1
        assert {name.partition(":")[2] for name in lives} == {"short", "day", "calls", "blocked", "learned"}
        assert 2 <= max(lives["b:short"], lives["e:short"]) <= 10
        assert all(2 <= lives[f"{kind}:blocked"] <= 110 for kind in "be")
        assert all(86_400 < lives[f"{kind}:day"] < 3 * 86_400 for kind in "be")
        assert 30 * 86_400 <= lives["b:learned"] <= 61 * 86_400
        assert all(seconds > 0 for seconds in lives.values())
    await limiter.close()


async def test_a_server_that_hangs_refuses(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    monkeypatch.setattr(script, "ANSWER_S", 0.5)
    with redis_server() as server:
        limiter = RedisLimiter(server.url, clock=clock)
        await granted(limiter, CALL)
        with server.frozen(), pytest.raises(EngineUnavailable):
            await limiter.reserve([CALL])
        assert (await books(limiter))[0] in {(0, 1), (0, 2)}  # what it was asked, it may have done when it went on
        await limiter.close()


async def test_what_cannot_be_said_is_told_to_who_said_it(redis_url: str) -> None:
    limiter = RedisLimiter(redis_url, prefix=new_prefix())
    with pytest.raises(TypeError):
        await limiter.block("rate", object())  # pyright: ignore[reportArgumentType]
    await granted(limiter, CALL)
    await limiter.close()


async def test_a_wrong_password_refuses(redis_url: str) -> None:
    limiter = RedisLimiter(redis_url.replace("horse", "mule"))
    with pytest.raises(EngineUnavailable) as caught:
        await limiter.reserve([CALL])
    assert "mule" not in str(caught.value)
    await limiter.close()


async def test_all_who_wait_for_a_server_that_hangs_are_refused_together(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(script, "ANSWER_S", 0.5)
    monkeypatch.setattr(script, "BATCH", 1)
    with redis_server() as server:
        limiter = RedisLimiter(server.url, clock=clock)
        await granted(limiter, CALL)
        with server.frozen():
            async with asyncio.timeout(20):
                answers = await asyncio.gather(*(limiter.reserve([CALL]) for _ in range(100)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {EngineUnavailable}
        await limiter.close()
