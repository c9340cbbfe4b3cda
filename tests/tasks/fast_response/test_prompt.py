"""What a model is given: which form, which part of the history, and whether it fits."""

import json
from pathlib import Path

import pytest

from blocks.accounts.account import Model
from blocks.accounts.tokens import prompt_tokens
from blocks.errors import BadInput, NotFound, TooLarge
from tasks.fast_response.asked import FastOptions
from tasks.fast_response.prompt import HEADING, HINTS, SILENCE, SYSTEM, messages, prepared
from tasks.fast_response.turns import Turn, Utterance, read_turns
from tests.conftest import ROOT
from tests.fakes.vllm import build_language_model
from tests.tasks.fast_response.serving import turn

SMALL = Model(context_tokens=1024, max_output_tokens=100)
DEMO = ROOT / "deployments" / "demo" / "fast_response" / "turns.jsonl"


def long_turn(utterances: int) -> Turn:
    said = (f"Câu {at}:" + " dài" * 10 for at in range(utterances))
    history = (Utterance(role=("assistant", "user")[at % 2], content=one) for at, one in enumerate(said))
    return Turn(id="long", history=tuple(history))


def test_the_flat_form_is_that_of_the_notes() -> None:
    system, user = messages(turn("I don't know.", "“Bức tranh” là gì?").heard, None, "flat", SYSTEM)
    assert system == {"role": "system", "content": SYSTEM}
    assert user["content"] == f"{HEADING}\n\n* 🤖 Assistant:\n“Bức tranh” là gì?\n\n* 👤 User:\nI don't know."


def test_the_chat_form_keeps_the_roles() -> None:
    given = messages(turn("Cat!", "Con gì đây?").heard, "positive", "chat", "Be quick.")
    assert [one["role"] for one in given] == ["system", "assistant", "user"]
    assert given[0]["content"] == f"Be quick.\n\n{HINTS['positive']}"
    assert given[-1]["content"] == "Cat!"


def test_what_all_flat_prompts_have_in_common_comes_first() -> None:
    first, second = (messages(turn("Hi.").heard, intent, "flat", SYSTEM) for intent in ("positive", "negative"))
    assert first[0] == second[0]
    assert first[1]["content"].startswith(HEADING)
    assert first[1]["content"].endswith(HINTS["positive"])


@pytest.mark.parametrize("silent", [turn("", "Con đâu rồi?"), Turn(history=turn("", "Con đâu rồi?").history[:1])])
def test_a_silent_child_is_told_to_the_model(silent: Turn) -> None:
    [_, user] = messages(silent.heard, "silence", "flat", SYSTEM)
    assert f"* 👤 User:\n{SILENCE}" in user["content"]


@pytest.mark.parametrize("form", ["flat", "chat"])
def test_the_oldest_turns_are_left_out_until_it_fits(form: str) -> None:
    asked = FastOptions.model_validate({"form": form})
    long = long_turn(200)
    ready = prepared(long, asked, [SMALL])
    room = asked.max_model_len - asked.max_tokens
    assert 0 < ready.dropped < 199
    assert prompt_tokens(ready.request, SMALL) <= room
    kept = long.history[ready.dropped :]
    assert kept[-1].content in str(ready.request.messages[-1]["content"])
    one_more = Turn(id="more", history=long.history[ready.dropped - 1 :])
    assert prepared(one_more, asked, [SMALL]).dropped == 1


def test_a_short_history_is_kept_whole() -> None:
    assert prepared(long_turn(4), FastOptions(), [SMALL]).dropped == 0


def test_the_models_own_tokenizer_counts_where_it_has_one(tmp_path: Path) -> None:
    """Words instead of bytes: more of the same history has room."""
    exact = SMALL.model_copy(update={"tokenizer": str(build_language_model(tmp_path / "model"))})
    long = long_turn(200)
    assert prepared(long, FastOptions(), [exact]).dropped < prepared(long, FastOptions(), [SMALL]).dropped
    # Of several that may answer, the one that counts most decides.
    assert prepared(long, FastOptions(), [exact, SMALL]).dropped == prepared(long, FastOptions(), [SMALL]).dropped


def test_a_model_with_less_context_than_the_server_is_asked_to_have_bounds_it() -> None:
    tight = SMALL.model_copy(update={"context_tokens": 600})
    ready = prepared(long_turn(200), FastOptions(), [tight])
    assert prompt_tokens(ready.request, tight) <= 600 - 50


def test_what_was_said_last_must_fit() -> None:
    with pytest.raises(TooLarge, match="turn 7"):
        prepared(turn("dài " * 2000, id="7"), FastOptions(), [SMALL])


def test_options_that_leave_no_room_are_refused() -> None:
    with pytest.raises(ValueError, match="no room"):
        FastOptions(max_tokens=100, max_model_len=100)


def test_the_demo_has_every_intent_and_both_languages() -> None:
    read = read_turns(str(DEMO))
    assert {one.intent for one in read} == {"positive", "negative", "neutral", "fallback", "silence"}
    assert len({one.id for one in read}) == len(read)
    for one in read:
        assert prepared(one, FastOptions(), [SMALL]).dropped == 0


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"id": "a"}, "turn 2: history: it is missing"),
        ({"history": []}, "turn 2: history"),
        ({"history": [{"role": "child", "content": "x"}]}, "turn 2: history.0.role"),
        ({"history": [{"role": "user", "content": "x"}], "intent": "angry"}, "turn 2: intent"),
    ],
)
def test_a_turn_of_another_form_is_told_with_its_row(tmp_path: Path, row: dict[str, object], says: str) -> None:
    good = {"history": [{"role": "user", "content": "x"}]}
    path = tmp_path / "turns.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in (good, row)))
    with pytest.raises(BadInput) as raised:
        read_turns(str(path))
    assert raised.value.message.startswith(says)


def test_every_fault_of_a_file_of_turns_is_told_in_words_of_json(tmp_path: Path) -> None:
    path = tmp_path / "turns.jsonl"
    wrong = [{"history": "hello"}, {"history": ["hello"]}, {"id": 7, "history": [{"role": "user", "content": 1}]}]
    path.write_text("".join(json.dumps(one) + "\n" for one in wrong) + "no JSON\n")
    with pytest.raises(BadInput) as raised:
        read_turns(str(path))
    assert raised.value.details["problems"][:4] == [
        "turn 1: history: here belongs a list, as [ … ]",
        'turn 2: history.0: here belongs an object, as {"name": … }',
        "turn 3: id: here belongs a text, in double quotes",
        "turn 3: history.0.content: here belongs a text, in double quotes",
    ]
    assert "it is no JSON" in raised.value.details["problems"][4]
    assert raised.value.message.count("\n") == 4


def test_turns_without_an_id_are_numbered_and_none_at_all_are_refused(tmp_path: Path) -> None:
    [first, second] = read_turns([{"history": [{"role": "user", "content": "x"}]}] * 2)
    assert (first.id, second.id) == ("1", "2")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(BadInput, match="no turns"):
        read_turns(str(tmp_path / "empty.jsonl"))
    with pytest.raises(NotFound):
        read_turns(str(tmp_path / "none.jsonl"))
