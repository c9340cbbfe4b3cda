"""Replies to turns: what is sent, what comes back, and what becomes of one that fails."""

from pathlib import Path

from tasks.fast_response.asked import ReplyOptions
from tasks.fast_response.page import replies_page
from tasks.fast_response.reply import fast_reply, reply_to
from tests.tasks.fast_response.serving import REPLY, account, served, turn, turns

ASKED = ReplyOptions(model="fast")


async def test_each_turn_gets_its_reply_in_order(tmp_path: Path) -> None:
    rules = [{"pattern": r"I have (\d+) apples", "answer": r"Wow, \1!"}]
    async with served(tmp_path, rules=rules) as (pool, _):
        found = await reply_to(pool, turns(30), ASKED)
    assert [one.reply for one in found.replies] == [f"Wow, {at}!" for at in range(30)]
    assert all(one.is_usable and one.account == "one" for one in found.replies)
    assert all((one.ttft_ms or 0) <= (one.total_ms or 0) for one in found.replies)
    assert (found.failed, found.quality.whole.usable) == (0, 30)


async def test_one_that_fails_has_its_error_and_the_others_go_on(tmp_path: Path) -> None:
    given = [turn("dài " * 2000, id="long"), turn("Hi", id="short"), turn("Xin chào", id="wrong", intent="positive")]
    rules = [{"pattern": "Xin chào", "answer": "Chào con | !"}, {"pattern": ".", "answer": REPLY}]
    async with served(tmp_path, rules=rules) as (pool, _):
        found = await reply_to(pool, given, ASKED)
    long, short, wrong = found.replies
    assert (long.error, long.is_usable, found.failed) == ("FILE_TOO_LARGE", False, 1)
    assert (short.reply, short.is_usable) == (REPLY, True)
    assert (wrong.faults, wrong.is_usable) == (("vietnamese", "foreign"), False)
    page = replies_page(found)
    assert "1 of 3 replies can be spoken; 1 failed" in page
    assert "`Chào con ¦ !`" in page


async def test_a_reply_cut_at_the_most_tokens_is_told(tmp_path: Path) -> None:
    async with served(tmp_path) as (pool, _):
        found = await fast_reply(pool, turn("Hi"), ASKED.model_copy(update={"max_tokens": 2}))
    assert (found.reply, found.faults) == (REPLY[:8], ("cut_off",))


async def test_a_server_that_is_away_is_an_error_of_the_turn(tmp_path: Path) -> None:
    async with served(tmp_path, faults={"overloaded": 1.0}) as (pool, _):
        found = await fast_reply(pool, turn("Hi"), ASKED)
    assert (found.error, found.reply, found.faults) == ("ENGINE_UNAVAILABLE", "", ())


async def test_an_empty_reply_has_no_first_token(tmp_path: Path) -> None:
    async with served(tmp_path, given=account(), next_faults={"empty": 1}) as (pool, _):
        found = await fast_reply(pool, turn("Hi"), ASKED)
    assert (found.error, found.faults, found.ttft_ms) == (None, ("empty",), None)
    assert found.total_ms is not None
