"""No call goes where the routes that were said to be reachable do not lead."""

from hypothesis import given
from hypothesis import strategies as st

from blocks.accounts.account import TIERS, Account, Accounts, Model, Routing, TierRule
from blocks.accounts.chat import Caller, ChatRequest
from blocks.accounts.routes import candidates, reachable, routes_of
from blocks.accounts.tokens import prompt_tokens
from blocks.errors import Unsupported

TIER = st.sampled_from(TIERS)
RULE = st.builds(TierRule, tier=TIER, pattern=st.sampled_from(["a", "b", "ab"]))
TEXT = st.text("abc", min_size=1, max_size=3)
SERVES = st.lists(st.sets(TIER, min_size=1), min_size=1, max_size=4)


def asked(text: str) -> ChatRequest:
    return ChatRequest(messages=({"role": "user", "content": text},))


@given(SERVES, st.lists(RULE, max_size=3), st.lists(TEXT, min_size=1, max_size=3), TEXT)
def test_every_way_of_every_request_is_reachable(
    serves: list[set[str]], rules: list[TierRule], sample: list[str], other: str
) -> None:
    models = {f"m{at}": Model(tiers=tuple(tiers)) for at, tiers in enumerate(serves)}
    one = Account(name="one", provider="openai", key="none", models=models)
    accounts = Accounts(accounts=(one,), routing=Routing(rules=tuple(rules)))
    routes = routes_of(accounts)
    try:
        requests = [asked(text) for text in sample]
        groups = reachable(routes, accounts, requests, [prompt_tokens(one, Model()) for one in requests], Caller())
        ways = candidates(routes, accounts, asked(other), Caller())
    except Unsupported:
        return  # one of them has no model
    found = [route for group in groups for route in group]
    assert len({route.key for route in found}) == len(found)
    assert {route.key for group in ways for route in group} <= {route.key for route in found}
    first = {candidates(routes, accounts, asked(text), Caller())[0][0].key for text in sample}
    assert first <= {route.key for route in groups[0]}


def test_a_model_that_was_named_leads_to_its_fallbacks() -> None:
    models = {"m": Model(), "n": Model(), "other": Model()}
    one = Account(name="one", provider="openai", key="none", models=models)
    accounts = Accounts(accounts=(one,), routing=Routing(fallbacks={"m": ("n",)}))
    request = asked("a").model_copy(update={"model": "m"})
    groups = reachable(routes_of(accounts), accounts, [request, request], [1, 1], Caller())
    assert [[route.name for route in group] for group in groups] == [["m"], ["n"]]
