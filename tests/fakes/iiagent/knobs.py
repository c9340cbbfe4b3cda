"""How the server is set up, whatever it plays."""

import os
from dataclasses import dataclass


@dataclass(kw_only=True)
class Knobs:
    """How the server is set up.

    Attributes:
        models: Keys of models that it knows; None: any.
        docker: It runs agents in containers.
        slots: Calls of models and tools at once, as asyncio's own executor has them.
        max_turns: Turns of one query.
        turn_s: How long each call of a model takes: for benches, never for tests.
        flavor: Generation: ws, old (v0.2) or socketio.
        late_polls: A run whose connection is gone stands at its next turn until the events of its session were looked
            at so often, or a second agent starts beside it.
        lost_compactions: The connection is lost as /compact begins, which ends when the events of its session were
            looked at so often, or a second agent starts beside it.
        refuses_sessions: Every session_uuid is taken for a malformed one.
        busy: The first agent of a session has work that only a cancellation ends.
        name_taken: Somebody put a file of the same name there before each upload.
        lost_replies: So many uploads are stored, and their answers lost.
        serves_anything: Content of every path below /workspace that is no file, but for names ending in `.none`.
    """

    models: tuple[str, ...] | None = None
    docker: bool = False
    slots: int = min(32, (os.cpu_count() or 1) + 4)
    max_turns: int = 200
    turn_s: float = 0.0
    flavor: str = "ws"
    late_polls: int = 0
    lost_compactions: int = 0
    refuses_sessions: bool = False
    busy: bool = False
    name_taken: bool = False
    lost_replies: int = 0
    serves_anything: bytes | None = None
