"""Who is told of a request that waits, and who next when nobody reacts."""

from blocks.escalation.chain import Chain, Level, read_chain
from blocks.escalation.climb import climb
from blocks.escalation.deliver import Deliver, deliver
from blocks.escalation.state import Escalation, Escalations, Notice

__all__ = [
    "Chain",
    "Deliver",
    "Escalation",
    "Escalations",
    "Level",
    "Notice",
    "climb",
    "deliver",
    "read_chain",
]
