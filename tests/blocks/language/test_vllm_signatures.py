"""Whether vLLM takes what we pass: the simulator always, the real one where it is installed."""

import inspect
import sys
from collections.abc import Iterator
from dataclasses import fields
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from blocks.language.vllm_runtime import VllmRuntime
from tests.fakes.vllm import FAKES

REAL = find_spec("vllm") is not None


def forget() -> None:
    for name in [name for name in sys.modules if name == "vllm" or name.startswith("vllm.")]:
        del sys.modules[name]


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    forget()
    monkeypatch.syspath_prepend(str(FAKES / "vllm_package"))
    yield
    forget()


def passed() -> dict[str, set[str]]:
    """The names of all arguments that the runtime passes."""
    runtime = VllmRuntime(
        folder="model",
        gpu_index=0,
        gpu_memory_utilization=0.9,
        max_model_len=1000,
        quantization=None,
        max_num_seqs=16,
        max_output_tokens=100,
    )
    runtime._parameters = import_module("vllm.sampling_params")
    return {
        "LLM": set(runtime._engine_arguments),
        "chat": set(runtime._chat_arguments([], [])),
        "SamplingParams": set(runtime._sampling_arguments({})),
        "StructuredOutputsParams": {"json"},
    }


def taken() -> dict[str, set[str]]:
    """The names that the `vllm` package takes; LLM hands on what it does not name to EngineArgs."""
    package: Any = import_module("vllm")
    parameters: Any = import_module("vllm.sampling_params")
    engine = {field.name for field in fields(import_module("vllm.engine.arg_utils").EngineArgs)}
    return {
        "LLM": names(package.LLM) | engine,
        "chat": names(package.LLM.chat),
        "SamplingParams": names(package.SamplingParams),
        "StructuredOutputsParams": names(parameters.StructuredOutputsParams),
    }


def names(called: Any) -> set[str]:
    return set(inspect.signature(called).parameters)


def untaken() -> dict[str, set[str]]:
    taking = taken()
    return {called: missing for called, given in passed().items() if (missing := given - taking[called])}


def test_the_simulator_takes_what_we_pass(simulated: None) -> None:
    assert Path(import_module("vllm").__file__ or "").is_relative_to(FAKES)
    assert untaken() == {}


@pytest.mark.skipif(not REAL, reason="vllm is not installed")
def test_vllm_takes_what_we_pass() -> None:
    assert untaken() == {}


@pytest.mark.skipif(not REAL, reason="vllm is not installed")
def test_the_simulator_takes_nothing_that_vllm_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    real = taken()
    forget()
    monkeypatch.syspath_prepend(str(FAKES / "vllm_package"))
    simulated = taken()
    forget()
    assert {called: given - real[called] for called, given in simulated.items() if given - real[called]} == {}
