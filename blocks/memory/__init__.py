"""What agents remember over runs, of whom, and where it came from."""

from blocks.memory.memory import Memory
from blocks.memory.record import (
    KINDS,
    STATES,
    Erased,
    Kind,
    MemoryRecord,
    Namespace,
    Origin,
    Recall,
    Recalled,
    Remembered,
    State,
)

__all__ = [
    "KINDS",
    "STATES",
    "Erased",
    "Kind",
    "Memory",
    "MemoryRecord",
    "Namespace",
    "Origin",
    "Recall",
    "Recalled",
    "Remembered",
    "State",
]
