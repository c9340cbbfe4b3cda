"""A decoder of random weights by transformers, in the process that holds it: what the `gpu` benchmark loads."""

from collections.abc import Sequence
from typing import Any

from blocks.inference.runtime import Unit


class DecoderRuntime:
    """Continues prompts of token numbers; see `blocks.inference.runtime.Runtime`.

    Args:
        shape: Arguments of transformers' `Qwen2Config`.
        device: `cuda` or `cpu`.
        most: Prompts at once.
    """

    def __init__(self, *, shape: dict[str, int], device: str, most: int) -> None:
        self._shape = shape
        self._device = device
        self._most = most

    def load(self) -> dict[str, Any]:
        """Make the model on the device; how many weights it has."""
        import torch
        from transformers import Qwen2Config, Qwen2ForCausalLM

        torch.set_default_device(self._device)
        torch.set_default_dtype(torch.float16 if self._device == "cuda" else torch.float32)
        self._model = Qwen2ForCausalLM(Qwen2Config(**self._shape)).eval()
        return {"parameters": sum(parameter.numel() for parameter in self._model.parameters())}

    def split(self, request: dict[str, Any]) -> list[Unit]:
        """One unit a prompt."""
        return [
            Unit(payload=(prompt, request["new_tokens"]), key=request["new_tokens"]) for prompt in request["prompts"]
        ]

    def fits(self, batch: Sequence[Unit], unit: Unit) -> bool:
        """Up to the most."""
        return len(batch) < self._most

    def shrink(self) -> bool:
        """Batches are what the benchmark says."""
        return False

    def run(self, batch: Sequence[Unit]) -> list[Any]:
        """Continue all prompts of a batch, greedily."""
        import torch

        tokens = torch.tensor([unit.payload[0] for unit in batch])
        count = batch[0].payload[1]
        with torch.no_grad():
            made = self._model.generate(tokens, max_new_tokens=count, min_new_tokens=count, do_sample=False)
        return made[:, tokens.shape[1] :].tolist()

    def answer(self, request: dict[str, Any], outcomes: list[Any]) -> dict[str, Any]:
        """The new tokens."""
        return {"made": outcomes}
