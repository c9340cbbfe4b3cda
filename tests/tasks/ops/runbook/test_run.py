"""Runbooks are carried out, step by step."""

from blocks.approvals import ApprovalRequest
from blocks.hosts import Inventory
from blocks.hosts.inventory import Machine
from tests.tasks.ops.conftest import MakePerformer
from tests.tasks.ops.runbook.conftest import Place, agreeing

FULL = """
parameters:
  disk: {type: path, under: /}
  limit: {type: int, default: 80}
steps:
  - name: look
    exec: [RECORD, "{{ disk }}", "Use% 91%"]
    read_only: true
    parse:
      - {set: used, type: int, regex: '(\\d+)%$'}
  - name: is-full
    if: used > limit
    then:
      - name: free
        exec: [RECORD, free, "{{ disk }}", "--used={{ used }}"]
    else:
      - name: nothing
        exec: [RECORD, nothing]
  - name: tell
    notify: {subject: "{{ disk }} was full", body: "{{ used }} %"}
"""


async def test_steps_are_done_in_order_with_what_earlier_ones_found(place: Place, told: list[tuple[str, str]]) -> None:
    place.write(FULL)
    run = await place.run(disk="/var")
    assert run.status == "done", run.why
    assert place.told == [["/var", "Use% 91%"], ["free", "/var", "--used=91"]]
    assert told == [("/var was full", "91 %")]
    assert run.steps["look"].values == {"used": 91}
    assert run.steps["is-full"].taken is True
    assert "nothing" not in run.steps


async def test_another_way_is_taken_where_the_condition_does_not_hold(place: Place) -> None:
    place.write(FULL)
    await place.run(disk="/var", limit=95)
    assert place.told[1:] == [["nothing"]]


async def test_a_run_that_has_ended_is_not_run_again(place: Place) -> None:
    place.write(FULL)
    first = await place.run(disk="/var")
    assert await place.run(disk="/var") == first
    assert len(place.told) == 2


async def test_a_person_is_asked_where_the_step_wants_it(place: Place, make_performer: MakePerformer) -> None:
    place.write('steps: [{name: one, exec: [RECORD, "a b"], consent: two}]')
    asked: list[ApprovalRequest] = []
    run = await place.run(performer=make_performer(ask=agreeing(asked)))
    assert (run.status, run.steps["one"].approvers, asked[0].persons) == ("done", ("bob",), 2)
    assert asked[0].arguments["argv"][1:] == ["a b"]
    refused = await place.run(performer=make_performer(run_id="run-2"))
    assert (refused.status, len(place.told)) == ("refused", 1)


async def test_local_is_this_machine_though_the_inventory_calls_it_otherwise(place: Place) -> None:
    place.inventory = Inventory([Machine(name="here")])
    place.write(
        'parameters: {server: {type: host, default: local}}\nhost: "{{ server }}"\nsteps:\n'
        "  - {name: one, exec: [RECORD, one]}\n  - {name: two, exec: [RECORD, two], host: local}\n"
    )
    assert (await place.run()).status == "done"
    assert place.told == [["one"], ["two"]]


async def test_a_step_that_is_refused_ends_the_run_unless_it_says_otherwise_and_then_is_told(
    place: Place, make_performer: MakePerformer
) -> None:
    step = "  - {name: free, exec: [RECORD, free], consent: one%s}\n  - {name: next, exec: [RECORD, next]}\n"
    place.write(f"steps:\n{step % ''}")
    ended = await place.run()
    assert (ended.status, place.told) == ("refused", [])
    place.write(f"steps:\n{step % ', on_failure: continue'}", "other")
    ended = await place.run("other", performer=make_performer(run_id="run-2"))
    assert (ended.status, place.told) == ("done", [["next"]])
    assert ended.why == "without a part of it: free was refused (nobody agreed)"


async def test_a_record_tells_whether_a_step_only_looks(place: Place) -> None:
    place.write("steps:\n  - {name: look, exec: [RECORD, look], read_only: true}\n  - {name: do, exec: [RECORD, do]}\n")
    ended = await place.run()
    assert [one.read_only for one in ended.steps.values()] == [True, False]
