"""A person can read what a run did and why."""

from pathlib import Path

from blocks.audit.story import one_line, story
from tests.blocks.audit.audits import Clock, entry, open_log


def test_a_run_is_told_from_its_goal_to_its_end(tmp_path: Path) -> None:
    log = open_log(tmp_path, Clock())
    call = {"tool": "run_command", "call_id": "c1"}
    log.append(entry(0, phase="run_started", trigger="free some disk", session="s1"))
    log.append(entry(1, phase="model_call", reasoning="I look at the disk first."))
    log.append(
        entry(
            2, **call, phase="decided", decision="ask", rule="risky", policy_version="0123456789abcdef", risk="high",
            trigger="it deletes files", reasoning="the disk is full", arguments={"argv": ["rm", "x"]},
        )
    )  # fmt: skip
    log.append(entry(3, **call, phase="asked", trigger="it deletes files"))
    log.append(entry(4, **call, phase="answered", outcome="approved", approvers=("bob", "eve"), reasoning="go on"))
    log.append(entry(5, **call, phase="started"))
    log.append(entry(6, **call, phase="done", outcome="removed x", before={"free": 1}, after={"free": 9}))
    log.append(entry(7, phase="run_ended", outcome="done", details={"requests": 2}))
    assert "\n".join(story(log.read())).splitlines() == [
        "run 0123456789abcdef: agent ops, for ann, session s1",
        "2026-11-03 (UTC)",
        "  12:00:00  begins: free some disk",
        "  12:00:00  the model says: I look at the disk first.",
        "  12:00:00  run_command: ask by rule risky, policy 0123456789ab, risk high: it deletes files",
        "            because: the disk is full",
        '            arguments: {"argv":["rm","x"]}',
        "  12:00:00  run_command: a person is asked: it deletes files",
        "  12:00:00  run_command: approved by bob, eve: go on",
        "  12:00:00  run_command is called",
        "  12:00:00  run_command gives: removed x",
        '            before: {"free":1}',
        '            after: {"free":9}',
        "  12:00:00  ends: done",
        "            requests: 2",
    ]


def test_what_others_wrote_cannot_write_on_the_terminal(tmp_path: Path) -> None:
    log = open_log(tmp_path, Clock())
    log.append(entry(0, phase="failed", tool="x", outcome="\x1b[2Jgone\r\n\u202ehidden " + "y" * 1000))
    told = "".join(story(log.read()))
    assert told.isprintable()
    assert len(told) < 500
    assert one_line("a\n\tb\x00c") == "a b c"


def test_every_phase_is_told(tmp_path: Path) -> None:
    from blocks.audit.entry import PHASES

    log = open_log(tmp_path, Clock())
    for phase in PHASES:
        log.append(entry(phase, phase=phase, tool="x", decision="allow", rule="r", outcome=f"{phase}-came"))
    told = "\n".join(story(log.read()))
    assert len(told.splitlines()) == 2 + len(PHASES)
    assert "None" not in told
