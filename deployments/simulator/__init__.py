"""A simulator of LLM providers over real HTTP, to rehearse an accounts.yaml before spending money; docs/simulator.md.

with simulate(read_accounts(path).accounts, Behaviour(faults={"error": 0.1})) as simulator:
    ...call simulator.base_url("account") + "/chat/completions"...
    assert simulator.books()["accounts"]["account"]["windows"]["rpm"]["too_many"] == 0
"""
