"""How hard a request is, by the rules of `accounts.yaml`."""

import re
from collections.abc import Sequence

from blocks.accounts.account import Tier, TierRule
from blocks.accounts.chat import ChatRequest, message_text

OTHERWISE: Tier = "moderate"


def tier_of(request: ChatRequest, tokens: int, rules: Sequence[TierRule]) -> Tier:
    """The tier of a request: its own, or that of the first rule that holds.

    Args:
        request: The request.
        tokens: Tokens of its prompt.
        rules: In order.
    """
    if request.tier:
        return request.tier
    for rule in rules:
        if holds(rule, request, tokens):
            return rule.tier
    return OTHERWISE


def holds(rule: TierRule, request: ChatRequest, tokens: int) -> bool:
    """Whether all conditions of a rule hold."""
    return (
        (rule.max_prompt_tokens is None or tokens <= rule.max_prompt_tokens)
        and (rule.min_prompt_tokens is None or tokens >= rule.min_prompt_tokens)
        and (rule.has_tools is None or rule.has_tools == bool(request.tools))
        and (rule.has_schema is None or rule.has_schema == (request.response_schema is not None))
        and (
            rule.pattern is None
            or re.search(rule.pattern, message_text(request.messages[-1]), re.IGNORECASE) is not None
        )
    )
