"""Runbooks are carried out, step by step."""

from blocks.approvals import ApprovalRequest
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
