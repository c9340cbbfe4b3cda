"""Loops, as they are and in disguise; and what looks like one and is none."""

import itertools
import json
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.agents.loops import FoundLoop, LoopRules, Loops

Step = tuple[str, dict[str, Any], Any]
"""A tool, its arguments, and what it gives back."""

PLAN = "the disk of db-3 is nearly full, so the old archives under /var/backups are moved away"


def findings(steps: Iterable[Step], *, loops: Loops | None = None, **facts: Any) -> list[FoundLoop | None]:
    """What is found at each step, one after the other; what is found is not made."""
    loops, found = loops or Loops(), list[FoundLoop | None]()
    for tool, arguments, result in steps:
        made, finding = loops.begin(tool, arguments, **facts)
        found.append(finding)
        if finding is None:
            loops.end(made, result)
        else:
            loops.dropped(made)
    return found


def first(found: Iterable[FoundLoop | None]) -> tuple[int, str] | None:
    """At which step the first loop was found, from 1, and of which kind."""
    return next(((number, one.kind) for number, one in enumerate(found, 1) if one), None)


def exact() -> Iterator[Step]:
    while True:
        yield "restart", {"service": "api"}, "restarted"


def reordered_keys() -> Iterator[Step]:
    for turn in itertools.count():
        pairs = [("service", "api"), ("host", "db-3"), ("force", True)]
        yield "restart", dict(pairs[turn % 3 :] + pairs[: turn % 3]), "restarted"


def counter() -> Iterator[Step]:
    for turn in itertools.count(1):
        yield "restart", {"service": "api", "attempt": turn}, f"restarted in {turn * 0.37} s"


def ids_and_times() -> Iterator[Step]:
    for turn in itertools.count(1):
        trace = str(UUID(int=turn * 7919**9))
        arguments = {"service": "api", "trace": trace, "at": f"2026-03-01T12:{turn:02}:07.{turn}Z"}
        yield "restart", arguments, f"restarted, request {trace}"


def blanks_and_case() -> Iterator[Step]:
    for turn in itertools.count(1):
        yield "run_command", {"text": ["Systemctl", "RESTART"][turn % 2] + " " * turn + "api"}, "done"


def look_alikes() -> Iterator[Step]:
    names = ["api", "арi", "аpi", "ap\u200bi", "ａｐｉ", "apι", "AРI"]
    for turn in itertools.count():
        yield "restart", {"service": names[turn % len(names)]}, "restarted"


def small_changes() -> Iterator[Step]:
    words = ["now", "again", "please", "once more", "really", "today", "this time"]
    for turn in itertools.count():
        yield "run_command", {"text": f"systemctl restart api.service on host db-3 {words[turn % 7]}"}, "done"


def deploy_and_roll_back() -> Iterator[Step]:
    for turn in itertools.count(1):
        yield "deploy", {"version": "2.1", "number": turn}, f"deployment {turn} failed its health check"
        yield "roll_back", {"to": "2.0", "number": turn}, f"rolled back from deployment {turn}"


def alternating_tools() -> Iterator[Step]:
    for turn in itertools.count():
        tool = ("read_file", "run_cat", "run_head")[turn % 3]
        yield tool, {"path": "/var/log/app.log"}, "no entries"


def shuffled_tools() -> Iterator[Step]:
    chance = random.Random(7)
    while True:
        yield chance.choice(["read_file", "run_cat", "run_head"]), {"path": "/var/log/app.log"}, "no entries"


def made_up_reasons() -> Iterator[Step]:
    chance = random.Random(11)
    words = [*PLAN.split(), "alert", "user", "deploy", "night", "probe", "queue", "token"]
    while True:
        yield "restart", {"service": "api", "reason": " ".join(chance.sample(words, 8))}, "service api restarted"


def fix_and_undo() -> Iterator[Step]:
    """The lint loop of the book: each fix brings back what the other had mended."""
    for one, other in itertools.cycle([("a", "b"), ("b", "a")]):
        yield "write_file", {"path": f"{one}.py", "content": f"from {other} import x\n"}, "written"
        yield "lint", {}, f"{one}.py: circular import of {other}"


def refused_again() -> Iterator[Step]:
    for turn in itertools.count():
        yield "run_command", {"argv": ["rm", "-rf", f"/data/{turn}"]}, {"refused": "rm -rf is not allowed"}


LOOPS: list[Callable[[], Iterator[Step]]] = [
    *(exact, reordered_keys, counter, ids_and_times, blanks_and_case, look_alikes, small_changes),
    *(deploy_and_roll_back, alternating_tools, shuffled_tools, made_up_reasons, fix_and_undo, refused_again),
]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_is_told_once_and_then_ends_the_run(loop: Callable[[], Iterator[Step]]) -> None:
    found = findings(itertools.islice(loop(), 24))
    told = [number for number, one in enumerate(found) if one]
    assert told, "it was never seen"
    assert told[0] <= 12
    warned, ended = found[told[0]], found[told[1]]
    assert warned and ended
    assert (warned.final, ended.final) == (False, True)


@pytest.mark.parametrize(
    ("loop", "expected"),
    [
        (exact, (4, "exact")),
        (reordered_keys, (4, "exact")),
        (counter, (4, "near")),
        (look_alikes, (4, "near")),
        (alternating_tools, (6, "cyclic")),
        (deploy_and_roll_back, (6, "cyclic")),
        (made_up_reasons, (6, "result")),
    ],
)
def test_a_loop_is_seen_in_time(loop: Callable[[], Iterator[Step]], expected: tuple[int, str]) -> None:
    assert first(findings(itertools.islice(loop(), 10))) == expected


def test_calls_in_turns_are_seen_when_they_begin_for_the_second_time_with_nothing_new() -> None:
    a, b, c = (("look", {"at": name}, f"state of {name}") for name in ("alpha", "bravo", "charlie"))
    assert first(findings([a, b, a, b])) == (4, "cyclic")
    assert first(findings([a, b, c, a, b, c])) == (6, "cyclic")
    assert first(findings([c, c, a, b, a, b])) == (6, "cyclic")


def reading_a_long_file() -> Iterator[Step]:
    for part in range(20):
        yield (
            "read_file",
            {"path": "/var/log/app.log", "start": part * 1000},
            f"{PLAN} {'abcdefghijklmnopqrst'[part] * 9}",
        )


def checking_after_each_change() -> Iterator[Step]:
    names = ["parser", "lexer", "printer", "linker", "loader", "checker"]
    for turn, name in enumerate(names):
        yield "write_file", {"path": f"src/{name}.c", "content": f"int {name}(void);\n" * 30}, f"wrote {name}.c"
        yield "run_command", {"argv": ["make", "test"]}, f"failed: {', '.join(names[turn + 1 :])}"


def different_questions() -> Iterator[Step]:
    for word in ["payment timeout", "connection refused", "out of memory", "certificate expired"]:
        yield "search_files", {"pattern": word}, []


def writing_many_files() -> Iterator[Step]:
    for name in ["readme", "licence", "changelog", "contributing", "security", "support", "authors", "notice"]:
        yield "write_file", {"path": f"docs/{name}.md", "content": f"# {name.title()}\n\n{name * 30}"}, "written"


@pytest.mark.parametrize(
    "work", [reading_a_long_file, checking_after_each_change, different_questions, writing_many_files]
)
def test_work_that_gets_on_is_no_loop(work: Callable[[], Iterator[Step]]) -> None:
    assert first(findings(work(), read_only=work in (reading_a_long_file, different_questions))) is None


def test_calls_made_at_once_are_no_loop_for_being_alike() -> None:
    loops = Loops()
    begun = [loops.begin("read_file", {"path": f"part-{number}.csv"}) for number in range(10)]
    assert [finding for _, finding in begun] == [None] * 10


def test_the_same_call_made_at_once_many_times_is_a_loop() -> None:
    loops = Loops()
    kinds = [finding and finding.kind for _, finding in (loops.begin("restart", {"service": "api"}) for _ in range(4))]
    assert kinds == [None, None, None, "exact"]


def test_a_repeat_that_brings_something_new_is_borne_twice_as_long() -> None:
    steps = [
        ("run_tests", {}, f"{name} fails") for name in ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "g")
    ]
    assert first(findings(steps)) == (7, "exact")


def test_asking_for_a_state_again_and_again_is_the_use_of_some_tools() -> None:
    steps = [("job_state", {"job": "17"}, "running")] * 40
    assert first(findings(steps, polls=True)) is None
    assert first(findings(steps)) == (4, "exact")


def test_polls_do_not_hide_a_cycle_of_what_changes_something() -> None:
    loops, found = Loops(), list[FoundLoop | None]()
    for _ in range(3):
        found += findings([("restart", {"service": "api"}, "restarted")], loops=loops)
        found += findings([("state", {"service": "api"}, "down")], loops=loops, polls=True)
    assert first(found) == (4, "cyclic")


def test_a_loop_that_is_left_is_forgotten_after_a_window() -> None:
    loops = Loops()
    assert first(findings(itertools.islice(exact(), 4), loops=loops)) == (4, "exact")
    others = [("read_file", {"path": f"/etc/{name * 6}"}, name * 50) for name in "abcdefghijkl"]
    assert first(findings(others, loops=loops)) is None
    again = findings(itertools.islice(exact(), 4), loops=loops)
    assert [one.final for one in again if one] == [False]


def test_more_warnings_than_allowed_end_the_run() -> None:
    loops = Loops(rules=LoopRules(warnings=1))
    findings(itertools.islice(exact(), 4), loops=loops)
    findings([("read_file", {"path": f"/etc/{name * 6}"}, name * 50) for name in "abcdefghijkl"], loops=loops)
    assert [one.final for one in findings(itertools.islice(exact(), 4), loops=loops) if one] == [True]


def test_a_call_that_is_put_off_does_not_count() -> None:
    loops = Loops()
    for _ in range(5):
        made, finding = loops.begin("deploy", {"version": "2.1"})
        assert finding is None
        loops.withdraw(made)
    made, _ = loops.begin("deploy", {"version": "2.1"})
    assert loops.times(made) == 1


def test_what_the_model_is_told_names_what_it_does_and_is_the_same_in_each_replay() -> None:
    texts = [[one.text for one in findings(itertools.islice(deploy_and_roll_back(), 9)) if one] for _ in range(2)]
    assert texts[0] == texts[1]
    assert "roll_back 3 times" in texts[0][0]
    assert "This call was not made" in texts[0][0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(arguments=st.dictionaries(st.text(max_size=8), JSON, max_size=5), result=JSON)
def test_any_call_repeated_without_end_is_stopped(arguments: dict[str, Any], result: Any) -> None:
    found = findings([("tool", json.loads(json.dumps(arguments)), result)] * 6)
    assert [one.final if one else None for one in found] == [None, None, None, False, True, True]
