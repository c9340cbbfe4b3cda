"""What a model does in the process that holds it."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class Unit:
    """The smallest piece of a request that is computed at once: a window of audio, a prompt.

    Attributes:
        payload: What the runtime computes.
        key: Only units of equal key are computed together.
        size: Share of the request, in any unit the runtime chooses: seconds of audio, tokens.
    """

    payload: Any
    key: Hashable = None
    size: float = 1.0


@dataclass(frozen=True)
class Again:
    """The outcome of a unit that has to be computed once more, in another form."""

    unit: Unit


class Runtime(Protocol):
    """A model behind `blocks.inference.worker`; built from a configuration of JSON values, in a process of its own.

    Units of all requests in hand are batched: the results of one must not depend on its neighbours.
    """

    def load(self) -> dict[str, Any]:
        """Bring the model into memory.

        Returns:
            Facts for the engine, as JSON values.

        Raises:
            NotFound, Unsupported, EngineFailed, OutOfMemory: it cannot be loaded.
        """
        ...

    def split(self, request: dict[str, Any]) -> list[Unit]:
        """Cut a request into units."""
        ...

    def fits(self, batch: Sequence[Unit], unit: Unit) -> bool:
        """Whether the unit still fits into the batch."""
        ...

    def run(self, batch: Sequence[Unit]) -> list[Any]:
        """Compute one batch; one outcome a unit, or `Again`.

        Raises:
            OutOfMemory: the batch was too large for the device.
        """
        ...

    def shrink(self) -> bool:
        """Make batches smaller after running out of memory; False when that was done before."""
        ...

    def answer(self, request: dict[str, Any], outcomes: list[Any]) -> dict[str, Any]:
        """The answer to a request whose units are all computed, as JSON values."""
        ...
