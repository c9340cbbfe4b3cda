"""What agents may do: rules in YAML, one verdict for every action, and profiles of how free an agent is."""

from blocks.policy.activation import Activation, activate, active, deactivate
from blocks.policy.policy import Policy
from blocks.policy.rule import Profile, Rule
from blocks.policy.verdict import VERDICTS, Decision, Verdict, narrowed, unattended

__all__ = [
    "VERDICTS",
    "Activation",
    "Decision",
    "Policy",
    "Profile",
    "Rule",
    "Verdict",
    "activate",
    "active",
    "deactivate",
    "narrowed",
    "unattended",
]
