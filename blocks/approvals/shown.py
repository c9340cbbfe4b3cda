"""Approvals as people read them."""

from blocks.approvals.request import Approval
from blocks.approvals.tally import tally


def state_of(approval: Approval) -> str:
    """`open 0/1`, `approved`, `approved, edited` or `denied`."""
    decided = tally(approval)
    if decided is None:
        return f"open {len(approval.votes)}/{approval.request.persons}"
    return ("approved, edited" if decided.edited else "approved") if decided.approved else "denied"
