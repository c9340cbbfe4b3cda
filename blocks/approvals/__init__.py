"""Approvals: what an agent may do only when people agree."""

from blocks.approvals.approvals import Approvals, Attempted, Swept
from blocks.approvals.identity import login_name, same_person
from blocks.approvals.open import open_approvals
from blocks.approvals.request import Approval, ApprovalDecision, ApprovalRequest, Vote
from blocks.approvals.tally import tally

__all__ = [
    "Approval",
    "ApprovalDecision",
    "ApprovalRequest",
    "Approvals",
    "Attempted",
    "Swept",
    "Vote",
    "login_name",
    "open_approvals",
    "same_person",
    "tally",
]
