"""Agents' questions, proposals and stops over HTTP."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest

from blocks.approvals import Approvals, open_approvals
from blocks.errors import StoreFailed
from blocks.escalation import Escalations
from blocks.keys import KeyRing
from blocks.reviews import Proposal, Reviews, open_reviews
from blocks.settings import settings
from blocks.store import LocalFiles, open_store
from blocks.switches import FileSwitches, Switch, open_switches
from deployments.gateway.desk import Desk
from deployments.gateway.routes.stops import Stop, set_stop
from tests.blocks.approvals import asking
from tests.blocks.approvals.asking import DELETES
from tests.deployments.gateway.gateways import Gateway
from tests.deployments.gateway.working import stored_gateway


@pytest.fixture(scope="module")
def people(store_path: Path) -> dict[str, str]:
    """Secrets of people's keys, by whose they are; dave may not approve, and two keys are bob's."""
    ring = KeyRing(LocalFiles(store_path))
    made = {name: ring.create(name, ["read", "approve"]) for name in ("ann", "bob", "Bob ", "eve", "🙂")}
    secrets = {name: secret for name, (secret, _) in made.items()}
    return secrets | {
        "dave": ring.create("dave", ["read", "submit", "admin", "chat"])[0],
        "id of eve": made["eve"][1].key_id,
        "id of 🙂": made["🙂"][1].key_id,
    }


@pytest.fixture(scope="module")
def server(running_prefect_server: str, store_path: Path, people: dict[str, str]) -> Iterator[Gateway]:
    with stored_gateway(running_prefect_server, store_path) as running:
        yield running


@pytest.fixture(autouse=True)
def same_store(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process has the store and the key of the gateway."""
    monkeypatch.setenv("AUDIO_DIR", str(store_path))
    monkeypatch.setenv("AGENTS_HOME", str(store_path.parent / "agents"))
    settings.cache_clear()


@pytest.fixture
def approvals() -> Approvals:
    return open_approvals()


@pytest.fixture
def ask(approvals: Approvals) -> Callable[..., str]:
    """Asks a question of this minute; gives its id."""

    def asked(call_id: str, **facts: Any) -> str:
        now = datetime.now(UTC)
        times = {"asked_at": now, "expires_at": now + timedelta(hours=1)}
        return approvals.ask(asking.request(call_id=call_id, **(times | facts))).request.approval_id

    return asked


@pytest.fixture
def reviews() -> Reviews:
    return open_reviews()


@pytest.fixture
def propose(reviews: Reviews) -> Callable[..., str]:
    """Proposes a mail; gives the id."""

    def proposed(call_id: str, **facts: Any) -> str:
        now = datetime.now(UTC)
        whole: dict[str, Any] = {
            "kind": "email",
            "title": "Reminder",
            "content": "Please pay.",
            "proposer": "writer",
            "run_id": "0123456789abcdef",
            "call_id": call_id,
            "proposed_at": now,
            "expires_at": now + timedelta(days=1),
        }
        return reviews.propose(Proposal.of(**(whole | facts))).proposal.review_id

    return proposed


@pytest.fixture(scope="module")
def by(server: Gateway, people: dict[str, str]) -> Iterator[Callable[[str], httpx.Client]]:
    """A client with somebody's key."""
    with ExitStack() as opened:
        yield cache(lambda name: opened.enter_context(server.client(people[name])))


def code(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()["error"]["code"]


def yes(approval_id: str, approvals: Approvals, **more: Any) -> dict[str, Any]:
    return {"decision": "approve", "arguments_hash": approvals.read(approval_id).request.arguments_hash} | more


Ask = Callable[..., str]
By = Callable[[str], httpx.Client]


def test_what_agents_ask_is_listed_and_read(by: By, ask: Ask, approvals: Approvals) -> None:
    open_one, denied = ask("listed"), ask("denied")
    by("bob").post(f"/v1/approvals/{denied}", json={"decision": "deny", "reason": "no"})
    listed = by("bob").get("/v1/approvals").json()["approvals"]
    assert open_one in [one["approval_id"] for one in listed]
    assert denied not in [one["approval_id"] for one in listed]
    everything = by("bob").get("/v1/approvals", params={"which": "all"}).json()["approvals"]
    assert denied in [one["approval_id"] for one in everything]
    read = by("bob").get(f"/v1/approvals/{open_one}").json()
    assert (read["arguments"], read["state"], read["decision"]) == (DELETES, "open 0/1", None)
    assert "seal" not in str(read)


def test_an_answer_is_in_the_name_of_the_key(by: By, ask: Ask, approvals: Approvals) -> None:
    approval_id = ask("answered")
    answer = by("bob").post(f"/v1/approvals/{approval_id}", json=yes(approval_id, approvals, reason="fine"))
    assert answer.status_code == 200, answer.text
    assert answer.json()["decision"] == {
        "approved": True, "arguments": DELETES, "by": ["bob"], "reason": "fine", "edited": False,
        "at": answer.json()["decision"]["at"],
    }  # fmt: skip
    decided = approvals.decision(approval_id, datetime.now(UTC))
    assert decided is not None and decided.by == ("bob",)


def test_a_name_that_is_none_gives_way_to_the_id_of_the_key(
    by: By, ask: Ask, approvals: Approvals, people: dict[str, str]
) -> None:
    approval_id = ask("nameless")
    answer = by("🙂").post(f"/v1/approvals/{approval_id}", json=yes(approval_id, approvals))
    assert answer.json()["decision"]["by"] == [people["id of 🙂"]]


def test_arguments_may_be_changed(by: By, ask: Ask, approvals: Approvals) -> None:
    approval_id = ask("changed")
    changed = DELETES | {"keep_days": 30}
    answer = by("bob").post(f"/v1/approvals/{approval_id}", json=yes(approval_id, approvals, arguments=changed))
    assert answer.json()["decision"]["arguments"] == changed
    assert answer.json()["state"] == "approved, edited"


def test_two_keys_of_one_name_are_one_person(by: By, ask: Ask, approvals: Approvals) -> None:
    approval_id = ask("two persons", persons=2, risk="critical")
    assert by("bob").post(f"/v1/approvals/{approval_id}", json=yes(approval_id, approvals)).status_code == 200
    again = by("Bob ").post(f"/v1/approvals/{approval_id}", json=yes(approval_id, approvals))
    assert code(again, 409) == "VOTED_ALREADY"
    answer = by("eve").post(f"/v1/approvals/{approval_id}", json=yes(approval_id, approvals))
    assert answer.json()["decision"]["by"] == ["bob", "eve"]


def test_who_asks_may_not_answer_by_name_nor_by_key(
    by: By, ask: Ask, approvals: Approvals, people: dict[str, str]
) -> None:
    for name, requester in (("ann", "Ann"), ("eve", people["id of eve"])):
        approval_id = ask(f"own of {name}", requester=requester)
        for body in (yes(approval_id, approvals), {"decision": "deny"}, {"decision": "acknowledge"}):
            assert code(by(name).post(f"/v1/approvals/{approval_id}", json=body), 403) == "OWN_REQUEST"
        assert approvals.read(approval_id).votes == ()


def test_an_approval_must_name_the_arguments_that_were_seen(by: By, ask: Ask, approvals: Approvals) -> None:
    approval_id = ask("unseen")
    bob, path = by("bob"), f"/v1/approvals/{approval_id}"
    assert code(bob.post(path, json={"decision": "approve"}), 422) == "VALIDATION_ERROR"
    other = {"decision": "approve", "arguments_hash": "0" * 64}
    assert code(bob.post(path, json=other), 409) == "OTHER_ARGUMENTS"


def test_a_late_or_repeated_answer_is_refused(by: By, ask: Ask, approvals: Approvals) -> None:
    past = datetime.now(UTC) - timedelta(hours=2)
    late, decided = ask("late", asked_at=past, expires_at=past + timedelta(hours=1)), ask("repeated")
    assert code(by("bob").post(f"/v1/approvals/{late}", json=yes(late, approvals)), 409) == "APPROVAL_CLOSED"
    body = yes(decided, approvals)
    assert by("bob").post(f"/v1/approvals/{decided}", json=body).status_code == 200
    assert code(by("bob").post(f"/v1/approvals/{decided}", json=body), 409) == "APPROVAL_CLOSED"


def test_somebody_takes_it_in_hand(by: By, ask: Ask) -> None:
    approval_id = ask("in hand")
    answer = by("bob").post(f"/v1/approvals/{approval_id}", json={"decision": "acknowledge"})
    assert (answer.json()["acknowledged_by"], answer.json()["state"]) == ("bob", "open 0/1")
    assert Escalations(open_store()).read(approval_id).acknowledged_by == "bob"


def test_only_keys_with_the_scope_see_and_answer(by: By, ask: Ask, propose: Ask) -> None:
    paths = [f"/v1/approvals/{ask('scoped')}", f"/v1/reviews/{propose('scoped')}"]
    for path in [*paths, "/v1/approvals", "/v1/reviews"]:
        assert code(by("dave").get(path), 403) == "NOT_ALLOWED"
    for path in paths:
        assert code(by("dave").post(path, json={"decision": "approve"}), 403) == "NOT_ALLOWED"


@pytest.mark.parametrize("path", ["/v1/approvals/0000", "/v1/reviews/0000"])
def test_what_there_is_not_is_not_found(by: By, path: str) -> None:
    assert code(by("bob").get(path), 404) == "NOT_FOUND"
    body = {"decision": "approve", "arguments_hash": "0" * 64, "content_hash": "0" * 64}
    body.pop("content_hash" if "approvals" in path else "arguments_hash")
    assert code(by("bob").post(path, json=body), 404) == "NOT_FOUND"


@pytest.mark.parametrize(
    "body",
    [
        {}, {"decision": "maybe"}, {"decision": "deny", "reason": "x" * 2001}, {"decision": "deny", "more": 1},
        {"decision": "approve", "arguments_hash": "0" * 64, "arguments": []}, [],
    ],
)  # fmt: skip
def test_wrong_answers_are_refused(by: By, ask: Ask, body: Any) -> None:
    assert code(by("bob").post(f"/v1/approvals/{ask('wrong')}", json=body), 422) == "VALIDATION_ERROR"


def test_a_proposal_is_read_and_approved_as_it_was_seen(by: By, propose: Ask, reviews: Reviews) -> None:
    review_id = propose("approved", previous="Please pay me.")
    assert review_id in [one["review_id"] for one in by("bob").get("/v1/reviews").json()["reviews"]]
    read = by("bob").get(f"/v1/reviews/{review_id}").json()
    assert (read["content"], read["previous"], read["state"]) == ("Please pay.", "Please pay me.", "pending")
    path = f"/v1/reviews/{review_id}"
    assert code(by("bob").post(path, json={"decision": "approve"}), 422) == "VALIDATION_ERROR"
    assert code(by("bob").post(path, json={"decision": "approve", "content_hash": "0" * 64}), 409) == "OTHER_ARGUMENTS"
    approved = by("bob").post(path, json={"decision": "approve", "content_hash": read["content_hash"]})
    assert (approved.status_code, approved.json()["state"], approved.json()["answer"]["by"]) == (200, "approved", "bob")
    assert reviews.claim_for_execution(review_id, token="x", now=datetime.now(UTC)) == "Please pay."
    assert by("bob").get(path).json()["claimed"]


def test_a_proposal_is_changed_or_rejected(by: By, propose: Ask, reviews: Reviews) -> None:
    changed, rejected = propose("edited", content={"a": 1}), propose("rejected")
    seen = reviews.read(changed).proposal.content_hash
    edit = {"decision": "edit", "content_hash": seen, "content": {"a": 2}}
    assert by("bob").post(f"/v1/reviews/{changed}", json=edit).json()["content"] == {"a": 2}
    path = f"/v1/reviews/{rejected}"
    assert code(by("bob").post(path, json={"decision": "reject"}), 422) == "VALIDATION_ERROR"
    assert by("bob").post(path, json={"decision": "reject", "reason": "rude"}).json()["answer"]["reason"] == "rude"
    assert {one.state for one in reviews.feedback("0123456789abcdef")} >= {"edited", "rejected"}


def test_who_proposes_may_not_approve(by: By, propose: Ask, reviews: Reviews) -> None:
    review_id = propose("own", proposer="BOB")
    body = {"decision": "approve", "content_hash": reviews.read(review_id).proposal.content_hash}
    assert code(by("bob").post(f"/v1/reviews/{review_id}", json=body), 403) == "OWN_REQUEST"


def test_stops_are_set_listed_and_cleared_by_administrators(by: By) -> None:
    switches = open_switches("", settings().agents_home / "switches")
    dave = by("dave")
    answer = dave.post("/v1/stops", json={"scope": "agent", "name": "operator", "reason": "it loops"})
    assert answer.status_code == 201, answer.text
    [found] = switches.list()
    assert (found.scope, found.name, found.by, found.reason) == ("agent", "operator", "dave", "it loops")
    assert [one["name"] for one in dave.get("/v1/stops").json()["stops"]] == ["operator"]
    assert code(by("bob").get("/v1/stops"), 403) == "NOT_ALLOWED"
    assert code(by("bob").post("/v1/stops", json={"scope": "all"}), 403) == "NOT_ALLOWED"
    where = {"scope": "agent", "name": "operator"}
    assert dave.delete("/v1/stops", params=where).status_code == 200
    assert code(dave.delete("/v1/stops", params=where), 404) == "NOT_FOUND"
    assert switches.list() == ()


def test_a_stop_that_is_set_again_keeps_what_was_paused_with_it(by: By) -> None:
    switches = open_switches("", settings().agents_home / "switches")
    switches.set(Switch(scope="all", by="carl", paused=("a-pool-that-is-gone",)))
    by("dave").post("/v1/stops", json={"scope": "all"})
    assert switches.list()[0].paused == ("a-pool-that-is-gone",)
    assert by("dave").delete("/v1/stops", params={"scope": "all"}).status_code == 200
    assert switches.list() == ()


@pytest.mark.parametrize(
    "body", [{}, {"scope": "all", "name": "x"}, {"scope": "agent"}, {"scope": "run", "name": "../x"}]
)
def test_stops_of_nothing_are_refused(by: By, body: dict[str, str]) -> None:
    assert code(by("dave").post("/v1/stops", json=body), 422) == "VALIDATION_ERROR"


async def test_a_stop_is_set_on_this_machine_while_the_shared_store_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTS_HOME", str(tmp_path))
    monkeypatch.setenv("SWITCHES_URL", "redis://127.0.0.1:1/0")
    settings.cache_clear()
    _, key = KeyRing(LocalFiles(tmp_path / "store")).create("dave", ["admin"])
    with pytest.raises(StoreFailed, match="on this machine only"):
        await set_stop.fn(Stop(scope="all"), Desk(LocalFiles(tmp_path / "store")), key)
    assert [one.scope for one in FileSwitches(tmp_path / "switches").list()] == ["all"]
