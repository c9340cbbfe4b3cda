"""A memory in a folder of the test, with a clock that the test turns."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blocks.memory import Memory, Namespace, Origin
from blocks.redact import Redactor

ANN = Namespace(agent="operator", user="ann")
BEN = Namespace(agent="operator", user="ben")


class Clock:
    """Seconds since 1970, as the test has them."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def days(self, number: float) -> None:
        self.now += number * 86_400


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory" / "memory.db"


@pytest.fixture
def opened(path: Path, clock: Clock) -> Iterator[Callable[..., Memory]]:
    """Opens the same file again, as another process or a later one would."""
    memories: list[Memory] = []

    def open_again(**options: object) -> Memory:
        memories.append(Memory(path, Redactor(), now=clock, **options))  # pyright: ignore[reportArgumentType]
        return memories[-1]

    yield open_again
    for memory in memories:
        memory.close()


@pytest.fixture
def memory(opened: Callable[..., Memory]) -> Memory:
    return opened()


def call(number: int = 0, run: str = "run", *labels: str) -> Origin:
    """A call of a run that has seen this."""
    return Origin.model_validate({"run_id": run, "call_id": f"call-{number}", "tool": "remember", "labels": labels})
