"""The contracts by name, and where each is in force; their models are loaded when one is first held against a table."""

from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

MODELS = {
    "segments": "transcript:Segments",
    "words": "transcript:Words",
    "swarm rows": "swarm:SwarmRows",
    "swarm answers": "swarm:SwarmAnswers",
    "swarm failures": "swarm:SwarmFailures",
    "batch rows": "batch:BatchRows",
    "batch answers": "batch:BatchAnswers",
    "batch coverage": "batch:BatchCoverage",
    "crossing": "crossing:Crossing",
    "calls": "ledger:Calls",
    "call totals": "ledger:CallTotals",
    "job metrics": "metrics:JobMetrics",
    "period metrics": "metrics:PeriodMetrics",
}
"""Module and class of each, in `blocks.contracts.models`."""


@dataclass(frozen=True, eq=False)
class Contract:
    """A contract.

    Attributes:
        name: As it is called in messages.
        about: What a row is.
        schema: Of pandera; made from the model, perhaps with columns that only one run has.
        stands: Where it is in force.
        fix: How to put a table right that breaks it.
    """

    name: str
    about: str
    schema: Any
    stands: str
    fix: str


@lru_cache
def contract(name: str) -> Contract:
    """The contract of that name."""
    module, _, kind = MODELS[name].partition(":")
    model = getattr(import_module(f"blocks.contracts.models.{module}"), kind)
    about = str(model.__doc__).partition("\n\n")[0].replace("\n", " ").strip()
    return Contract(name, about, model.to_schema(), **model.Config.metadata)
