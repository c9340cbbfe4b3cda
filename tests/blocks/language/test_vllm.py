"""The engine that computes with vLLM, against a simulator of the package in a process of its own."""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from blocks.errors import C500Error, EngineFailed, NotFound, OutOfMemory, Stopped, Unsupported
from blocks.language.protocol import LanguageTask, Prompt
from blocks.language.vllm import MOST_PROMPTS, VllmEngine
from blocks.settings import settings
from tests.fakes.vllm import KEPT_HEADS, LAYERS, WIDTH, FakeVllm, build_language_model, install_fake_vllm
from tests.processes import eventually

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["title"],
    "properties": {"title": {"type": "string", "minLength": 1, "maxLength": 40}},
}


def asking(text: str, task: LanguageTask = "summarise") -> Prompt:
    return Prompt(task=task, system="You write.", user=f"<transcript>\n{text}\n</transcript>", text=text)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeVllm:
    return install_fake_vllm(tmp_path, monkeypatch)


@pytest.fixture
def engines(fake: FakeVllm) -> Iterator[Callable[..., VllmEngine]]:
    made: list[VllmEngine] = []

    def make(task: LanguageTask = "summarise") -> VllmEngine:
        made.append(VllmEngine(task))
        return made[-1]

    yield make
    for engine in made:
        engine.unload()


def set_to(monkeypatch: pytest.MonkeyPatch, **values: object) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))
    settings.cache_clear()


async def test_prompts_are_answered_together_and_in_order(engines: Callable[..., VllmEngine], fake: FakeVllm) -> None:
    answers = await engines().complete([asking(f"The plan {n} is good.") for n in range(5)], SCHEMA)
    assert [answer.parsed for answer in answers] == [{"title": f"The plan {n} is good."} for n in range(5)]
    assert all(answer.problems == () and answer.cost_usd == 0 and answer.latency_s > 0 for answer in answers)
    assert answers[0].usage.prompt_tokens > 5 < answers[0].usage.completion_tokens
    assert fake.noted("chat") == [[2] * 5]
    assert fake.noted("temperature") == [[0] * 5]


async def test_the_model_is_loaded_once_and_gone_after_unloading(
    engines: Callable[..., VllmEngine], fake: FakeVllm
) -> None:
    engine = engines()
    engine.give(3)
    with engine:
        await engine.complete([asking("One.")])
        await engine.complete([asking("Two.")])
        pid = fake.notes[0]["pid"]
        assert pid != os.getpid() and psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)
    assert fake.noted("max_num_seqs") == [3]


async def test_plain_text_has_no_schema_and_no_repair(engines: Callable[..., VllmEngine], fake: FakeVllm) -> None:
    fake.behaves(cut=True)
    [answer] = await engines().complete([asking("One.")])
    assert answer.parsed is None
    assert "cut at its limit of 200 tokens" in answer.problems[0]
    assert len(fake.noted("chat")) == 1


async def test_only_wrong_answers_are_repaired_once(engines: Callable[..., VllmEngine], fake: FakeVllm) -> None:
    fake.behaves(wrong="once")
    answers = await engines().complete([asking("One."), asking("Two.")], SCHEMA)
    assert [answer.problems for answer in answers] == [(), ()]
    assert fake.noted("chat") == [[2, 2], [4, 4]]


async def test_an_answer_that_stays_wrong_is_reported(engines: Callable[..., VllmEngine], fake: FakeVllm) -> None:
    fake.behaves(wrong="always")
    [answer] = await engines().complete([asking("One.")], SCHEMA)
    assert any("title" in problem for problem in answer.problems)
    assert len(fake.noted("chat")) == 2


async def test_a_repair_that_would_be_too_long_is_not_tried(engines: Callable[..., VllmEngine], fake: FakeVllm) -> None:
    fake.behaves(wrong="always")
    [answer] = await engines().complete([asking("word " * 660)], SCHEMA)
    assert answer.problems
    assert len(fake.noted("chat")) == 1


async def test_an_answer_that_was_cut_is_a_problem(engines: Callable[..., VllmEngine], fake: FakeVllm) -> None:
    fake.behaves(cut=True)
    [answer] = await engines().complete([asking("One.")], SCHEMA)
    assert "cut at its limit of 200 tokens" in answer.problems[0]


async def test_a_prompt_that_leaves_no_room_names_both_numbers(engines: Callable[..., VllmEngine]) -> None:
    with pytest.raises(EngineFailed, match=r"7\d\d tokens, 672 fit: LLM_MAX_MODEL_LEN 1000, .* 200") as caught:
        await engines().complete([asking("word " * 700)], SCHEMA)
    assert "LLM_MAX_MODEL_LEN" in caught.value.fix


async def test_a_schema_that_vllm_refuses_spoils_no_other_answer(
    engines: Callable[..., VllmEngine], fake: FakeVllm, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    fake.behaves(chat_gate=str(gate), refuses=["pears"])
    engine = engines()
    first = asyncio.create_task(engine.complete([asking("Zero.")], SCHEMA))
    await eventually(lambda: fake.noted("waits") == ["chat_gate"])
    apples = asyncio.create_task(engine.complete([asking("apples")], SCHEMA))
    pears = asyncio.create_task(engine.complete([asking("pears")], SCHEMA))
    await eventually(lambda: len(engine._process._answers) == 3)
    gate.touch()
    assert (await first)[0].parsed and (await apples)[0].parsed
    with pytest.raises(EngineFailed, match="pears cannot be compiled"):
        await pears
    assert [2, 2] in fake.noted("chat")


async def test_prompts_of_two_tasks_are_refused(engines: Callable[..., VllmEngine]) -> None:
    with pytest.raises(ValueError, match="one task"):
        await engines().complete([asking("One."), asking("Two.", "enhance")])
    assert await engines().complete([]) == []


async def test_a_cancelled_call_ends_at_once_and_the_engine_can_be_unloaded(
    engines: Callable[..., VllmEngine], fake: FakeVllm, tmp_path: Path
) -> None:
    fake.behaves(chat_gate=str(tmp_path / "never"))
    engine = engines()
    running = asyncio.create_task(engine.complete([asking("One.")]))
    await eventually(lambda: fake.noted("waits") == ["chat_gate"])
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 5)
    await eventually(lambda: not engine._process._answers)
    engine.unload()
    assert not psutil.pid_exists(fake.notes[0]["pid"])


async def test_unloading_ends_a_load_in_progress(
    engines: Callable[..., VllmEngine], fake: FakeVllm, tmp_path: Path
) -> None:
    fake.behaves(load_gate=str(tmp_path / "never"))
    engine = engines()
    loading = asyncio.create_task(asyncio.to_thread(engine.load))
    await eventually(lambda: fake.noted("waits") == ["load_gate"])
    engine.unload()
    with pytest.raises(Stopped):
        await loading


@pytest.mark.parametrize(
    ("said", "kind", "fix"),
    [
        ("CUDA out of memory. Tried to allocate 2.00 GiB.", OutOfMemory, "LLM_MAX_MODEL_LEN"),
        ("Free memory on device cuda:0 (9/24 GiB) is less than desired GPU memory utilization", OutOfMemory, "free"),
        ("The quantization method awq_marlin is not supported for the current GPU.", Unsupported, "LLM_QUANTIZATION"),
        ("User-specified max_model_len (9) is greater than the derived max_model_len", Unsupported, "LLM_MAX"),
        ("Failed to infer device type", Unsupported, "nvidia-smi"),
        ("Error while deserializing header: HeaderTooLarge", EngineFailed, "c500 models check"),
    ],
)
def test_what_goes_wrong_while_loading_is_typed(
    engines: Callable[..., VllmEngine], fake: FakeVllm, said: str, kind: type[C500Error], fix: str
) -> None:
    fake.behaves(load_error=said)
    with pytest.raises(C500Error) as caught:
        engines().load()
    assert type(caught.value) is kind
    assert said in caught.value.message
    assert fix in caught.value.fix


async def test_running_out_of_memory_while_computing_is_typed(
    engines: Callable[..., VllmEngine], fake: FakeVllm
) -> None:
    fake.behaves(chat_error="CUDA out of memory. Tried to allocate 2.00 GiB.")
    with pytest.raises(OutOfMemory):
        await engines().complete([asking("One."), asking("Two.")])


def test_a_vllm_that_is_too_old_is_named(engines: Callable[..., VllmEngine], fake: FakeVllm) -> None:
    fake.behaves(version="0.11.2")
    with pytest.raises(Unsupported, match=r"0\.11\.2 is too old: 0\.12") as caught:
        engines().load()
    assert "pip install" in caught.value.fix


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_model_without_a_file_is_not_loaded(
    engines: Callable[..., VllmEngine], fake: FakeVllm, tmp_path: Path, name: str
) -> None:
    (tmp_path / "model" / name).unlink()
    with pytest.raises(NotFound) as caught:
        engines().load()
    assert "c500 models check" in caught.value.fix
    assert fake.notes == []


def test_the_same_model_for_both_tasks_is_one_engine(
    engines: Callable[..., VllmEngine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = engines("summarise").info()
    assert info == engines("enhance").info()
    assert (info.name, info.version, info.model) == ("vllm", "0.33.0", str(tmp_path / "model"))
    assert info.settings.keys() >= {"revision", "sha256", "max_model_len", "max_output_tokens", "quantization"}
    set_to(monkeypatch, LLM_ENHANCE_MODEL=build_language_model(tmp_path / "other"))
    assert engines("enhance").info() != engines("summarise").info() == info
    set_to(monkeypatch, LLM_MAX_OUTPUT_TOKENS=100)
    assert engines("summarise").info() != info


def test_the_need_for_memory_is_weights_and_a_context_a_prompt(engines: Callable[..., VllmEngine]) -> None:
    need = engines().vram()
    assert need is not None
    assert need.fixed_bytes == 1000
    assert need.item_bytes == 2 * 2 * LAYERS * KEPT_HEADS * WIDTH * 1000
    assert need.most_items == MOST_PROMPTS


def test_vllm_takes_no_more_than_the_budget(
    engines: Callable[..., VllmEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert engines()._config()["gpu_memory_utilization"] == 0.9
    monkeypatch.setattr("blocks.vram.Nvml.total_bytes", lambda self: 24_000_000_000)
    set_to(monkeypatch, GPU_BUDGET_GB=12)
    assert engines()._config()["gpu_memory_utilization"] == 0.5


def test_the_budget_is_counted_without_loading(engines: Callable[..., VllmEngine], fake: FakeVllm) -> None:
    budget = engines().budget()
    assert budget.max_input_tokens == 1000 - 200 - 128
    assert budget.count("one two three, four") == 5
    assert budget.count("word " * 500) == 500
    assert fake.notes == []


def test_settings_that_leave_no_room_are_named(
    engines: Callable[..., VllmEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to(monkeypatch, LLM_MAX_OUTPUT_TOKENS=990)
    with pytest.raises(C500Error, match="LLM_MAX_OUTPUT_TOKENS is 990"):
        engines().budget()
