"""What is recalled: what fits, what counts, what is fresh; the same in every process and every attempt of a run."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.errors import EngineUnavailable
from blocks.memory import Memory, MemoryRecord, Origin, Recall
from blocks.memory.lexical import LexicalEmbedder, lexical_vector
from blocks.memory.rank import FLOOR, HALF_LIFE_S, SHORTLIST, recency, score
from blocks.redact import Redactor
from tests.blocks.memory.conftest import ANN, BEN, Clock, call

FACTS = (
    "The checkout service exhausts its pool of 20 database connections under load.",
    "Deployments to production happen Tuesday to Thursday between 10 and 16.",
    "Rollbacks need the approval of the channel ops-leads.",
    "The user prefers short answers without small talk.",
    "The database primary is db-3.internal and its replica db-4.internal.",
    "Certificates of the gateway are renewed by certbot on the first Monday.",
    "Người dùng muốn báo cáo bằng tiếng Việt.",
    "Log files of the crawler fill /var/log within two days.",
)


async def filled(memory: Memory, texts: Sequence[str] = FACTS) -> list[str]:
    return [
        (await memory.remember(ANN, text, origin=call(number))).record.memory_id for number, text in enumerate(texts)
    ]


def texts_of(recall: Recall) -> list[str]:
    return [one.record.text for one in recall.found]


@pytest.mark.parametrize(
    ("question", "fact"),
    [
        ("why does checkout run out of connections", 0),
        ("may I deploy on Friday", 1),
        ("who approves a rollback", 2),
        ("how long should my answer be", 3),
        ("which host is db-4", 4),
        ("certificate renewal", 5),
        ("nguoi dung muon bao cao tieng gi", 6),
        ("disk full of crawler logs", 7),
    ],
)
async def test_what_fits_the_question_comes_first(memory: Memory, question: str, fact: int) -> None:
    await filled(memory)
    assert texts_of(await memory.recall(ANN, question))[0] == FACTS[fact]


@pytest.mark.parametrize("question", ["quantum chromodynamics lattice", "?!", "", "  ", "«»"])
async def test_what_has_nothing_to_do_with_it_is_not_recalled(memory: Memory, question: str) -> None:
    await filled(memory)
    assert (await memory.recall(ANN, question)).found == ()


@pytest.mark.parametrize("question", ['"', "a OR b", "NEAR(x y)", "words: *", "db-3' --", "a AND NOT b^2", "-", "()"])
async def test_no_question_is_taken_for_a_query(memory: Memory, question: str) -> None:
    await filled(memory)
    await memory.recall(ANN, f"{question} rollback {question}")


async def test_of_equally_fitting_memories_the_important_and_then_the_fresh_come_first(
    memory: Memory, clock: Clock
) -> None:
    await memory.remember(ANN, "disk alert policy alpha", origin=call(1), importance=3)
    clock.days(60)
    await memory.remember(ANN, "disk alert policy bravo", origin=call(2), importance=3)
    await memory.remember(ANN, "disk alert policy delta", origin=call(3), importance=7)
    names = [text.split()[-1] for text in texts_of(await memory.recall(ANN, "disk alert policy"))]
    assert names == ["delta", "bravo", "alpha"]


async def test_equal_scores_keep_one_order_newest_first(opened: Callable[..., Memory]) -> None:
    memory = opened()
    for number in range(9):
        await memory.remember(ANN, f"rack {'abcdefghi'[number]} has power", origin=call(number))
    question = "power"
    first = [one.record.text for one in (await opened().recall(ANN, question, most=4, run_id="r", call_id="1")).found]
    again = [one.record.text for one in (await opened().recall(ANN, question, most=4, run_id="r", call_id="1")).found]
    assert first == again
    scores = [one.score for one in (await opened().recall(ANN, question, most=9)).found]
    assert scores == sorted(scores, reverse=True)


async def test_use_is_counted_and_keeps_a_memory_fresh(memory: Memory, clock: Clock) -> None:
    ids = await filled(memory)
    clock.days(10)
    await memory.recall(ANN, "who approves a rollback", most=1)
    used, unused = await memory.record(ids[2]), await memory.record(ids[3])
    assert (used.accesses, unused.accesses) == (1, 0)
    assert (used.used_at - unused.used_at).days == 10


async def test_a_run_is_given_the_same_again_and_it_counts_once(opened: Callable[..., Memory]) -> None:
    memory = opened()
    ids = await filled(memory)
    first = await memory.recall(ANN, "rollback approval", run_id="run", call_id="start")
    await memory.remember(ANN, "Rollback approval is given by Dora.", origin=call(99), importance=7)
    await memory.forget(ids[2], "carol")
    again = await opened().recall(ANN, "another question", run_id="run", call_id="start")
    assert texts_of(again) == texts_of(first)
    assert [one.score for one in again.found] == [one.score for one in first.found]
    assert (await memory.record(ids[2])).accesses == 1
    assert texts_of(await memory.recall(ANN, "rollback approval", run_id="run", call_id="2"))[0].endswith("Dora.")


async def test_that_nothing_was_found_is_kept_too(opened: Callable[..., Memory]) -> None:
    memory = opened()
    assert (await memory.recall(ANN, "rollback", run_id="run", call_id="start")).found == ()
    await filled(memory)
    assert (await memory.recall(ANN, "rollback", run_id="run", call_id="start")).found == ()


async def test_what_was_erased_is_not_given_again(memory: Memory) -> None:
    ids = await filled(memory)
    first = await memory.recall(ANN, "rollback approval", run_id="run", call_id="start")
    assert FACTS[2] in texts_of(first)
    await memory.erase(memory_id=ids[2])
    assert FACTS[2] not in texts_of(await memory.recall(ANN, "rollback approval", run_id="run", call_id="start"))


class Away:
    """An embedder whose server comes and goes."""

    name = "away"

    def __init__(self) -> None:
        self.answers = False

    async def embed(self, text: str) -> "np.ndarray[Any, Any]":
        if not self.answers:
            raise EngineUnavailable("the server is away", fix="start it")
        return lexical_vector(text)


async def test_without_the_embedding_server_words_have_to_do_and_it_is_said(opened: Callable[..., Memory]) -> None:
    embedder = Away()
    memory = opened(embedder=embedder)
    await filled(memory)
    found = await memory.recall(ANN, "rollback approval")
    assert (texts_of(found)[0], found.searched) == (FACTS[2], "text")
    embedder.answers = True
    assert await memory.embed_missing() == len(FACTS)
    assert await memory.embed_missing() == 0
    found = await memory.recall(ANN, "deploymnet windos")
    assert (texts_of(found)[0], found.searched) == (FACTS[1], "vectors and text")


async def test_vectors_of_another_embedder_are_not_compared(opened: Callable[..., Memory]) -> None:
    await filled(opened())

    class Other(LexicalEmbedder):
        @property
        def name(self) -> str:
            return "other"

    other = opened(embedder=Other())
    assert (await other.recall(ANN, "certificats")).found == ()  # not one whole word of it is known
    assert await other.embed_missing() == len(FACTS)
    assert texts_of(await other.recall(ANN, "certificats"))[0] == FACTS[5]


async def test_a_process_sees_at_once_what_another_wrote_released_and_forgot(opened: Callable[..., Memory]) -> None:
    one, other = opened(), opened()
    ids = await filled(one)
    assert texts_of(await other.recall(ANN, "rollback approval"))[0] == FACTS[2]
    await one.forget(ids[2], "carol")
    assert FACTS[2] not in texts_of(await other.recall(ANN, "rollback approval", least=0))
    await one.release(ids[2], "carol")
    assert texts_of(await other.recall(ANN, "rollback approval"))[0] == FACTS[2]
    await one.erase(memory_id=ids[2])
    await one.remember(ANN, "Rollback approval is asked of Dora.", origin=call(77))
    found = texts_of(await other.recall(ANN, "rollback approval", least=0))
    assert (found[0], FACTS[2] in found) == ("Rollback approval is asked of Dora.", False)


async def test_what_was_erased_takes_no_place_in_the_ranks(opened: Callable[..., Memory]) -> None:
    one, other = opened(), opened()
    for number in range(SHORTLIST + 6):
        await one.remember(ANN, f"deployments window {number}", origin=call(number), importance=7)
    await one.remember(BEN, "deployments of ben", origin=call(1, "of-ben"))
    kept = await one.remember(ANN, "deployments happen at night", origin=call(99), importance=1)
    question = "deploymnets"  # which only the vectors find
    assert len((await other.recall(ANN, question)).found) == 5
    for record in await one.records(user="ann"):
        if record != kept.record:
            await one.erase(memory_id=record.memory_id)
    assert texts_of(await other.recall(ANN, question)) == ["deployments happen at night"]


WORDS = ("disk", "alert", "node", "deploy", "gateway", "pool", "token", "queue", "node7", "node8")


@settings(max_examples=20, deadline=None)
@given(data=st.data())
async def test_a_process_that_followed_every_change_ranks_as_one_that_just_opened(data: st.DataObject) -> None:
    """The vectors held in memory are kept up to date step by step, never read anew; both must give the same."""
    with TemporaryDirectory() as folder:
        following, fresh = (Memory(Path(folder) / "memory.db", Redactor(), now=Clock()) for _ in range(2))
        await change(following, data)
        question = " ".join(data.draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3)))
        followed = await following.recall(ANN, question, least=0.01)
        read_anew = await fresh.recall(ANN, question, least=0.01)
        following.close()
        fresh.close()
    assert similarities(followed) == similarities(read_anew)


def similarities(recall: Recall) -> list[tuple[str, float]]:
    return [(one.record.memory_id, one.similarity) for one in recall.found]


async def change(memory: Memory, data: st.DataObject) -> None:
    """Write, use, forget, release and erase at random."""
    for _ in range(data.draw(st.integers(1, 12))):
        known = await memory.records()
        step = data.draw(st.sampled_from(("write", "write", "forget", "release", "erase", "recall")))
        if step == "write" or not known:
            text = " ".join(data.draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=5)))
            await memory.remember(ANN, text, origin=Origin())
        elif step == "recall":
            await memory.recall(ANN, data.draw(st.sampled_from(WORDS)))
        else:
            await review(memory, known[data.draw(st.integers(0, len(known) - 1))], step)


async def review(memory: Memory, chosen: MemoryRecord, step: str) -> None:
    if step == "release" and chosen.state == "forgotten":
        await memory.release(chosen.memory_id, "carol")
    elif step == "forget":
        await memory.forget(chosen.memory_id, "carol")
    elif step == "erase":
        await memory.erase(memory_id=chosen.memory_id)


def test_freshness_halves_with_each_half_life_down_to_a_floor() -> None:
    now = 1e9
    assert recency(now, now) == 1
    assert recency(now - HALF_LIFE_S, now) == pytest.approx(FLOOR + (1 - FLOOR) / 2)
    assert recency(now - 1000 * HALF_LIFE_S, now) == pytest.approx(FLOOR)
    assert recency(now + 99, now) == 1, "a clock that went back makes nothing fresher than fresh"
    assert score(0.5, 10, now, now) == 0.5
    assert score(0.5, 5, now, now) == 0.25


async def test_words_are_near_those_they_share_letters_with() -> None:
    def near(one: str, other: str) -> float:
        return float(lexical_vector(one) @ lexical_vector(other))

    assert near("deployment windows", "window of deployments") > 0.45
    assert near("deployment windows", "annual picnic budget") < 0.15
    assert near("Cấu hình máy chủ", "cau hinh may chu") == pytest.approx(1)
    assert float(np.linalg.norm(lexical_vector("anything at all"))) == pytest.approx(1, abs=1e-5)
    assert not lexical_vector("?!").any()
