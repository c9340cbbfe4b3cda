"""A language model's folder and the two simulators of vLLM, as a test sets them up."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from blocks.settings import settings

FAKES = Path(__file__).parent
LAYERS, KEPT_HEADS, WIDTH = 2, 2, 8


def build_language_model(folder: Path, weight_bytes: int = 1000) -> Path:
    """A folder as the hub has it: sizes, a tokenizer that counts words and marks, weights without sense."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    folder.mkdir(parents=True)
    sizes = {"num_hidden_layers": LAYERS, "num_attention_heads": 4, "num_key_value_heads": KEPT_HEADS}
    (folder / "config.json").write_text(json.dumps(sizes | {"hidden_size": 4 * WIDTH}))
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.enable_truncation(100)  # as files of some models have it: the count must not stop there
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "model.safetensors").write_bytes(b"w" * weight_bytes)
    return folder


@dataclass
class FakeVllm:
    """How the simulators behave, and what they noted.

    Keys of the package: `version`, `load_error`, `load_gate` and `chat_gate` (a path that has to exist before it goes
    on), `chat_error`, `refuses` (words of prompts whose grammar is refused), `wrong` ("once" or "always"), `cut`.
    Keys of the command: `die` (what it prints before it ends), `health_gate` (a path that has to exist before it is
    healthy), `busy` (a path as long as which exists there is a request in hand), `answers`.
    """

    control: Path

    def behaves(self, **how: Any) -> None:
        """From now on; what was said before is forgotten."""
        whole = self.control.with_suffix(".new")
        whole.write_text(json.dumps(how))
        whole.replace(self.control)

    @property
    def notes(self) -> list[dict[str, Any]]:
        """All notes so far, oldest first."""
        log = self.control.with_suffix(".log")
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def noted(self, key: str) -> list[Any]:
        """The values of one kind of note."""
        return [note[key] for note in self.notes if key in note]


def install_fake_vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeVllm:
    """The simulated package and command for this process and its children, and a model for both tasks."""
    model = build_language_model(tmp_path / "model")
    package = str(FAKES / "vllm_package")
    monkeypatch.syspath_prepend(package)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FAKES.parent.parent), package]))
    here = str(Path(sys.executable).parent)
    monkeypatch.setenv("PATH", os.pathsep.join([str(FAKES / "vllm_command"), here, os.environ["PATH"]]))
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("LLM_ENHANCE_MODEL", str(model))
    monkeypatch.setenv("LLM_SUM_MODEL", str(model))
    monkeypatch.setenv("LLM_MAX_MODEL_LEN", "1000")
    monkeypatch.setenv("LLM_MAX_OUTPUT_TOKENS", "200")
    fake = FakeVllm(tmp_path / "vllm.json")
    fake.behaves()
    monkeypatch.setenv("C500_FAKE_VLLM", str(fake.control))
    settings.cache_clear()
    return fake
