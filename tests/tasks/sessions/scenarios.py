"""What each scenario of the scripted server comes to, as a task: one table for the steps and for the flow."""

from typing import Any, NamedTuple

from tests.flows.sessioning import EXPECTED_ROWS, ROWS


class Comes(NamedTuple):
    """To what a scenario comes.

    Attributes:
        outcome: Its kind.
        stopped_by: What the task is given up for.
        counters: Those that must be so.
        checks: What proves it.
    """

    outcome: str = "done"
    stopped_by: str = ""
    counters: dict[str, int] = {}  # noqa: RUF012 - never changed
    checks: list[dict[str, Any]] = ROWS


OUTCOMES: dict[str, Comes] = {
    "happy": Comes(counters={"turns": 1}),
    "text_only": Comes("silent_stop", "max_silent", {"turns": 2, "silent_stops": 2}),
    "silent_stop": Comes(counters={"turns": 2, "silent_stops": 1}),
    "silent_always": Comes("silent_stop", "max_silent", {"turns": 2}),
    "never_done": Comes("incomplete", "no_progress", {"turns": 3}),
    "max_turns": Comes(counters={"turns": 2}),
    "needs_input_then_done": Comes(counters={"turns": 2}),
    "error_400": Comes(counters={"turns": 1, "compactions": 1}),
    "error_context": Comes(counters={"turns": 1, "compactions": 1}),
    "error_401": Comes(counters={"turns": 1, "rotations": 1}),
    "error_limit": Comes(counters={"turns": 1, "rotations": 1}),
    "error_429": Comes(counters={"turns": 1, "retries": 2}),
    "error_500": Comes(counters={"turns": 1, "retries": 1}),
    "drop_mid_run": Comes(counters={"turns": 1, "reconnects": 1}),
    "slow_quiesce": Comes(counters={"turns": 1, "reconnects": 1}),
    "big_frame": Comes(counters={"turns": 1}),
    "busy": Comes(counters={"turns": 1}),
    "docker_mode": Comes(counters={"turns": 1}),
    "unknown_event": Comes(counters={"turns": 1}),
    "broken_frames": Comes(counters={"turns": 1}),
    "hostile_paths": Comes(counters={"turns": 1}),
    "hostile_zip": Comes(counters={"turns": 1}),
    "read_uploads": Comes(counters={"turns": 1}),
    "upload_collision": Comes(counters={"turns": 1}),
    "upload_reply_lost": Comes(counters={"turns": 1}),
    "short_csv": Comes(counters={"turns": 2}, checks=EXPECTED_ROWS),
    "csv_in_parts": Comes(counters={"turns": 4}, checks=EXPECTED_ROWS),
}
"""Of those that need nobody: `close_1012`, `frozen`, `zombie_after_bad_json` and `bad_uuid` have tests of their own."""
