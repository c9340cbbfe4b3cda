"""What an agent wants to do, in the terms that rules, approvals and the audit speak in."""

import hashlib
import json
from functools import cached_property
from typing import Any, Literal

from blocks.model import Frozen

Risk = Literal["low", "medium", "high", "critical"]
RISKS: tuple[Risk, ...] = ("low", "medium", "high", "critical")

Label = Literal["untrusted", "private"]
"""What a result carries along: `untrusted` came from outside and may hold instructions, `private` must not leave.

Meta's «Agents Rule of Two» (2025): without a person, a run has at most two of untrusted input, private data and
effects outside.
"""


class Touched(Frozen):
    """What a call would reach, as far as its arguments tell.

    Attributes:
        reads: Real, absolute paths that are read.
        writes: Real, absolute paths that are written, moved or deleted.
        removes: Absolute paths that are moved or deleted themselves: of a link the link, not what it leads to.
        hosts: `host:port` that are connected to, in lower case and IDNA form.
        argv: The program and its arguments, where one is run.
        size_bytes: What is written or sent, where that is known.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    removes: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    argv: tuple[str, ...] | None = None
    size_bytes: int | None = None


class Action(Frozen):
    """A tool call before it is made.

    Attributes:
        tool: Its name.
        arguments: As the tool takes them, JSON.
        risk: Of the tool.
        known: Whether the tool is in the registry; what is not is asked.
        read_only: Whether it changes nothing.
        reversible: Whether what it does can be undone.
        outside: Whether it has effects beyond the workspace: what it sends or changes is seen by others.
        touched: What it would reach.
        labels: What the run has seen so far.
        user: For whom the agent works.
        agent: The agent's name.
    """

    tool: str
    arguments: dict[str, Any]
    risk: Risk = "medium"
    known: bool = True
    read_only: bool = False
    reversible: bool = False
    outside: bool = False
    touched: Touched = Touched()
    labels: frozenset[Label] = frozenset()
    user: str = ""
    agent: str = ""

    @cached_property
    def arguments_hash(self) -> str:
        """What an approval is bound to: SHA-256 of the tool and its exact arguments, hexadecimal."""
        return hash_of(self.tool, self.arguments)


def canonical(value: Any) -> str:
    """JSON with sorted keys and no blanks: the same value gives the same text. Raises `ValueError` for NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def hash_of(tool: str, arguments: Any) -> str:
    """SHA-256 over a tool and its arguments, hexadecimal."""
    return hashlib.sha256(canonical([tool, arguments]).encode("utf-8", "surrogatepass")).hexdigest()
