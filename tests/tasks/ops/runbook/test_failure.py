"""What a runbook does where a step fails, waits, calls another, or is cut off."""

from typing import Any

import pytest

from blocks.errors import BadInput, Conflict, EngineUnavailable
from blocks.hosts.local import LocalHost
from blocks.store import open_store
from tasks.ops.runbook.record import runbook_runs
from tests.tasks.ops.conftest import MakePerformer
from tests.tasks.ops.runbook.conftest import Place

FAILS = '[RECORD, exit, "1"]'


async def test_a_step_that_fails_ends_the_run(place: Place) -> None:
    place.write(f"steps:\n  - {{name: a, exec: {FAILS}}}\n  - {{name: b, exec: [RECORD, b]}}\n")
    run = await place.run()
    assert (run.status, run.why, place.told) == ("failed", "a: it ended with 1: exit 1", [["exit", "1"]])


async def test_one_that_may_fail_goes_on_with_its_defaults(place: Place) -> None:
    place.write(
        f"steps:\n  - {{name: a, exec: {FAILS}, on_failure: continue, parse: [{{set: x, line: 0, default: none}}]}}\n"
        '  - {name: b, exec: [RECORD, "{{ x }}"]}\n'
    )
    assert ((await place.run()).status, place.told[1]) == ("done", ["none"])


async def test_it_is_tried_again_so_often(place: Place) -> None:
    place.write(f"steps: [{{name: a, exec: {FAILS}, repeatable: true, on_failure: {{retry: 2, wait_s: 0}}}}]")
    run = await place.run()
    assert (run.status, run.steps["a"].tries, len(place.told)) == ("failed", 3, 3)
    assert len((await place.run()).steps) == 1 and len(place.told) == 3


@pytest.mark.parametrize(("then", "status"), [("stop", "failed"), ("continue", "done")])
async def test_steps_make_up_for_it(place: Place, then: str, status: str) -> None:
    place.write(
        "steps:\n  - {name: a, exec: [RECORD, a]}\n"
        f"  - {{name: b, exec: {FAILS}, on_failure: {{goto: undo, then: {then}}}}}\n"
        "  - {name: c, exec: [RECORD, c]}\n"
        'compensation: {undo: [{name: u, exec: [RECORD, undo, "{{ failure_step }}"]}]}\n'
    )
    run = await place.run()
    assert run.status == status
    assert place.told == [["a"], ["exit", "1"], ["undo", "b"], *([["c"]] if then == "continue" else [])]
    assert run.steps["b/goto/u"].status == "done"


async def test_another_runbook_makes_up_for_it(place: Place) -> None:
    place.write('parameters: {what: {}}\nsteps: [{name: u, exec: [RECORD, mend, "{{ what }}"]}]', "mend")
    instead = '{runbook: mend, with: {what: "{{ failure_step }}"}}'
    place.write(f"steps: [{{name: b, exec: {FAILS}, on_failure: {instead}}}]")
    assert ((await place.run()).status, place.told[1]) == ("failed", ["mend", "b"])


async def test_a_runbook_calls_another_and_has_what_it_found(place: Place) -> None:
    place.write(
        "parameters: {word: {}, times: {type: int, default: 2}}\n"
        'steps: [{name: u, exec: [RECORD, "{{ word }}", "{{ times }}"], parse: [{set: out, line: 0}]}]',
        "other",
    )
    place.write(
        'steps:\n  - {name: a, runbook: other, with: {word: "$(x)"}, returns: {mine: out}}\n'
        '  - {name: b, exec: [RECORD, "<{{ mine }}>"]}\n'
    )
    run = await place.run()
    assert (run.status, place.told) == ("done", [["$(x)", "2"], ["<$(x) 2>"]])
    assert run.steps["a/u"].status == "done"


async def test_branches_go_side_by_side_and_all_end(place: Place) -> None:
    place.write(
        "steps:\n  - name: p\n    parallel:\n"
        "      - [{name: a, exec: [RECORD, a], parse: [{set: x, line: 0}]}]\n"
        f"      - [{{name: b, exec: {FAILS}}}]\n"
        "      - [{name: c, exec: [RECORD, c]}, {name: d, exec: [RECORD, d]}]\n"
        "  - {name: e, exec: [RECORD, e]}\n"
    )
    run = await place.run()
    assert (run.status, sorted(place.told)) == ("failed", [["a"], ["c"], ["d"], ["exit", "1"]])
    assert run.why.startswith("p: b: it ended with 1")


async def test_it_waits_until_a_command_says_so(place: Place) -> None:
    counter = "'echo x >> FOLDER/count; wc -l < FOLDER/count'"
    place.write(
        f"steps:\n  - {{name: w, wait_until: lines >= 3, command: [sh, -c, {counter}], every_s: 0.05,\n"
        "     parse: [{set: lines, type: int, line: 0}]}\n"
        '  - {name: b, exec: [RECORD, "{{ lines }}"]}\n'
    )
    assert ((await place.run()).status, place.told) == ("done", [["3"]])


async def test_it_waits_until_a_metric_says_so_and_not_for_ever(place: Place) -> None:
    place.metrics = [None, 5.0, 1.0]
    place.write("steps: [{name: w, wait_until: value < 2, metric: up, every_s: 0.05, timeout_s: 5}]")
    assert (await place.run()).status == "done"
    place.write("steps: [{name: w, wait_until: value < 1, metric: up, every_s: 0.05, timeout_s: 0.2}]", "never")
    with pytest.raises(Conflict):
        await place.run("never")


async def test_time_that_is_up_ends_a_wait(place: Place) -> None:
    place.metrics = [3.0]
    place.write("steps: [{name: w, wait_until: value < 1, metric: up, every_s: 0.05, timeout_s: 0.2}]")
    run = await place.run()
    assert run.status == "failed" and "value was 3.0" in run.why


async def test_a_command_that_takes_too_long_is_killed(place: Place) -> None:
    place.write("steps: [{name: a, exec: [sleep, '60'], timeout_s: 0.2}]")
    assert "killed for the time" in (await place.run()).why


async def test_no_step_begins_after_the_whole_time(place: Place) -> None:
    place.write("timeout_s: 0.5\nsteps:\n  - {name: a, exec: [sleep, '60']}\n  - {name: b, exec: [RECORD, b]}\n")
    run = await place.run()
    assert (run.status, place.told) == ("failed", [])
    place.write(
        "timeout_s: 0.2\nsteps: [{name: a, exec: [sleep, '9'], on_failure: continue}, {name: b, exec: [RECORD, b]}]"
    )
    runbook_runs(open_store()).remove("run-1")
    assert ((await place.run()).status, place.told) == ("timed_out", [])


async def test_a_dry_run_looks_and_shows_both_ways(place: Place, make_performer: MakePerformer) -> None:
    place.write(
        "steps:\n  - {name: look, exec: [RECORD, look], read_only: true, parse: [{set: seen, line: 0}]}\n"
        '  - {name: act, exec: [RECORD, "{{ seen }}"], parse: [{set: got, line: 0}]}\n'
        "  - name: i\n    if: got == 'x'\n"
        "    then: [{name: t, exec: [RECORD, t]}]\n    else: [{name: e, exec: [RECORD, e]}]\n"
        '  - {name: last, exec: [RECORD, "{{ got }}"], read_only: true}\n'
    )
    run = await place.run(performer=make_performer(dry_run=True))
    assert (run.status, place.told) == ("planned", [["look"]])
    assert {name: one.status for name, one in run.steps.items()} == {
        "look": "done", "act": "planned", "i": "planned", "t": "planned", "e": "planned", "last": "planned"
    }  # fmt: skip
    assert runbook_runs(open_store()).find("run-1") is None


async def test_a_command_whose_end_nobody_knows_is_in_doubt_until_a_person_says(
    place: Place, make_performer: MakePerformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write("steps:\n  - {name: a, exec: [RECORD, a]}\n  - {name: b, exec: [RECORD, b]}\n")

    async def breaks(*_: Any, **__: Any) -> Any:
        raise EngineUnavailable("the connection broke", fix="look")

    with monkeypatch.context() as patched:
        patched.setattr(LocalHost, "run", breaks)
        assert (await place.run()).status == "in_doubt"
    assert ((await place.run()).status, place.told) == ("in_doubt", [])
    effects = make_performer().effects
    [doubted] = effects.begun()
    effects.settle(doubted.effect_id, None)
    assert ((await place.run()).status, place.told) == ("done", [["b"]])


async def test_one_that_a_person_releases_is_done(
    place: Place, make_performer: MakePerformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write("steps: [{name: a, exec: [RECORD, a]}]")

    async def breaks(*_: Any, **__: Any) -> Any:
        raise EngineUnavailable("the connection broke", fix="look")

    with monkeypatch.context() as patched:
        patched.setattr(LocalHost, "run", breaks)
        await place.run()
    effects = make_performer().effects
    effects.release(effects.begun()[0].effect_id)
    assert ((await place.run()).status, place.told) == ("done", [["a"]])


async def test_rules_refuse_what_no_runbook_may_do(place: Place) -> None:
    place.write("steps: [{name: a, exec: [rm, -rf, /etc]}]")
    run = await place.run()
    assert run.status == "refused" and "everything-away" in run.why


async def test_two_at_once_one_works(place: Place) -> None:
    place.write("steps: [{name: a, exec: [RECORD, a]}]")
    with open_store().lock("operations/runbooks/run-1/manifest.json"), pytest.raises(Conflict):
        await place.run()
    assert place.told == []


async def test_missing_unknown_and_wrong_parameters_are_named(place: Place) -> None:
    place.write("parameters: {n: {type: int, most: 5}, m: {default: x}}\nsteps: [{name: a, exec: [RECORD, a]}]")
    for given, field in (({}, "n"), ({"n": "6"}, "n"), ({"n": "1e3"}, "n"), ({"n": "1", "z": "1"}, "z")):
        with pytest.raises(BadInput) as caught:
            await place.run(**given)
        assert caught.value.details["field"] == field
    assert (await place.run(n="5")).parameters == {"n": 5, "m": "x"}


async def test_an_answer_that_is_too_large_fails_the_step_and_not_the_run_of_things(place: Place) -> None:
    place.write("steps: [{name: a, exec: [seq, -f, '%0400.0f', '900'], parse: [{set: x, type: list, lines: true}]}]")
    run = await place.run()
    assert run.status == "failed" and "more than 200000 characters" in run.why
