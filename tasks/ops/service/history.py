"""What became of a service's versions, so that deploying and rolling back never go round in circles.

Every version of a service is one fingerprint. One that was rolled back is not deployed again until a person clears it;
each is tried only so often; and a service is rolled back only so often in a day, whatever is deployed meanwhile.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Literal

from pydantic import AwareDatetime, Field

from blocks.errors import Conflict, LimitReached, NotAllowed, NotFound
from blocks.manifests import Manifests
from blocks.model import Frozen
from blocks.store.files import Files

PREFIX = "operations/services"
WAIT_S = 10.0

State = Literal["deploying", "deployed", "failed", "passed", "rolling_back", "rolled_back", "rollback_failed"]
BLOCKED: frozenset[State] = frozenset({"rolling_back", "rolled_back", "rollback_failed"})

Turn = Literal["ours", "done", "failed", "others", "superseded", "too_many"]
"""Whether a run may roll a version back. `ours`: it may, or goes on; `done`: it was rolled back; `failed`: a rollback
by another run failed or is in doubt; `others`: another run is at it; `superseded`: another version was deployed since;
`too_many`: the service was rolled back too often."""


class VersionRecord(Frozen):
    """What became of a version.

    Attributes:
        fingerprint: Of service and version.
        state: What it is now.
        attempts: Runs that deployed it, since a person last cleared it.
        verified_run: The run that found that it runs, and has deployed it with that.
        failed_run: The run that found that it does not.
        rollback_run: The run that rolls or rolled it back.
        why: Why it was rolled back, or failed.
        cleared_by, cleared_at, cleared_why: Who allowed it again.
        cleared_from, cleared_from_at: What it was until then, and since when.
        at: When this was last changed.
    """

    fingerprint: str
    state: State
    attempts: tuple[str, ...] = ()
    verified_run: str = ""
    failed_run: str = ""
    rollback_run: str = ""
    why: str = ""
    cleared_by: str = ""
    cleared_at: AwareDatetime | None = None
    cleared_why: str = ""
    cleared_from: State | None = None
    cleared_from_at: AwareDatetime | None = None
    at: AwareDatetime

    @property
    def is_only_cleared(self) -> bool:
        """Whether nothing became of it since it was cleared."""
        return self.cleared_at is not None and self.at == self.cleared_at


class Rollback(Frozen):
    """That a service was rolled back."""

    version: str
    run_id: str
    at: AwareDatetime


class ServiceHistory(Frozen):
    """What became of a service's versions.

    Attributes:
        service: Its name.
        current: The version that was deployed last; empty: none through us.
        versions: By version.
        rollbacks: Oldest first.
    """

    service: str
    current: str = ""
    versions: dict[str, VersionRecord] = Field(default_factory=dict[str, VersionRecord])
    rollbacks: tuple[Rollback, ...] = ()

    def known(self, version: str) -> VersionRecord:
        """What became of a version. Raises `NotFound`."""
        if (found := self.versions.get(version)) is None:
            raise NotFound(
                f"nothing is known of {self.service} {version}", fix="see `c500 rollout history`", field="version"
            )
        return found

    def is_taken_back_by(self, version: str, run_id: str) -> bool:
        """Whether this run rolls or rolled the version back."""
        found = self.versions.get(version)
        return found is not None and found.state in BLOCKED and found.rollback_run == run_id

    def is_begun_by(self, version: str, run_id: str) -> bool:
        """Whether this run has begun to deploy the version."""
        found = self.versions.get(version)
        return found is not None and run_id in found.attempts

    def is_verified_by(self, version: str, run_id: str) -> bool:
        """Whether this run has deployed the version to its end."""
        found = self.versions.get(version)
        return found is not None and found.verified_run == run_id

    def is_failed_by(self, version: str, run_id: str) -> bool:
        """Whether this run has found that the version does not run."""
        found = self.versions.get(version)
        return found is not None and found.failed_run == run_id

    def is_replaced(self, version: str) -> bool:
        """Whether another version was deployed since."""
        return self.current not in ("", version)


class Histories:
    """The histories of all services.

    Args:
        files: The store.
    """

    def __init__(self, files: Files) -> None:
        self._manifests = Manifests(files, PREFIX, ServiceHistory, kind="service")

    def find(self, service: str) -> ServiceHistory:
        """A service's; an empty one where there is none."""
        return self._manifests.find(service) or ServiceHistory(service=service)

    def all(self) -> list[ServiceHistory]:
        """Those of all services, by name."""
        return [self._manifests.read(name) for name in self._manifests.names()]

    def check_deployable(self, service: str, version: str, run_id: str, attempts: int) -> None:
        """See `begin_attempt`; nothing is written."""
        _check_deployable(self.find(service), service, version, run_id, attempts)

    def begin_attempt(self, service: str, version: str, run_id: str, attempts: int) -> None:
        """Note that a run deploys a version; the same run may do it again and again.

        Raises:
            NotAllowed: the version was rolled back, and no person has cleared it.
            LimitReached: as many runs as may have tried it.
        """

        def change(history: ServiceHistory) -> ServiceHistory:
            _check_deployable(history, service, version, run_id, attempts)
            before = history.versions.get(version)
            if before is not None and run_id in before.attempts:
                return history
            tried = (*(before.attempts if before else ()), run_id)
            return _put(history, version, state="deploying", attempts=tried).model_copy(update={"current": version})

        self._change(service, change)

    def note(self, service: str, version: str, state: State, why: str = "") -> None:
        """Note what a version is now; one that is blocked stays so."""
        self._note(service, version, state, why=why)

    def judge(self, service: str, version: str, run_id: str, why: str = "") -> None:
        """Note what a run found of the version that it deployed, so that this stands in all its attempts.

        Args:
            service, version: Which.
            run_id: Of the run.
            why: Why it does not run; empty: it does.
        """
        found = {"failed_run": run_id} if why else {"verified_run": run_id}
        self._note(service, version, "failed" if why else "deployed", why=why, **found)

    def begin_rollback(self, service: str, version: str, run_id: str, why: str, *, most: int, within_s: float) -> Turn:
        """Take the turn to roll a version back; only one run ever gets it.

        Args:
            service, version: Which.
            run_id: Of the run that would.
            why: Why.
            most: Rollbacks of the service that there may be.
            within_s: Seconds within which they count.
        """
        turn: Turn = "ours"

        def change(history: ServiceHistory) -> ServiceHistory:
            nonlocal turn
            turn = _turn(history, version, run_id, most, within_s)
            if turn != "ours" or history.is_taken_back_by(version, run_id):
                return history
            made = Rollback(version=version, run_id=run_id, at=datetime.now(UTC))
            blocked = _put(history, version, state="rolling_back", rollback_run=run_id, why=why)
            return blocked.model_copy(update={"rollbacks": (*history.rollbacks, made)[-100:]})

        self._change(service, change)
        return turn

    def clear(self, service: str, version: str, by: str, why: str) -> VersionRecord:
        """Allow a version again that was rolled back or tried too often; what was before counts no more. Raises
        `NotFound`."""

        def change(history: ServiceHistory) -> ServiceHistory:
            before, now = history.known(version), datetime.now(UTC)
            told: dict[str, object] = {"cleared_by": by, "cleared_at": now, "cleared_why": why, "at": now}
            if not before.is_only_cleared:
                told |= {"cleared_from": before.state, "cleared_from_at": before.at}
            cleared = _put(history, version, state="failed", attempts=(), failed_run="", rollback_run="", **told)
            counted = tuple(one for one in history.rollbacks if one.version != version)
            return cleared.model_copy(update={"rollbacks": counted})

        return self._change(service, change).versions[version]

    def _note(self, service: str, version: str, state: State, **facts: str) -> None:
        def change(history: ServiceHistory) -> ServiceHistory:
            before = history.versions.get(version)
            if before is not None and before.state in BLOCKED and state not in BLOCKED:
                return history
            return _put(history, version, state=state, **facts)

        self._change(service, change)

    def _change(self, service: str, change: Callable[[ServiceHistory], ServiceHistory]) -> ServiceHistory:
        """Change a history, alone; another that is at it is done in a moment."""
        end = time.monotonic() + WAIT_S
        while True:
            try:
                with self._manifests.held(service, ServiceHistory(service=service)) as held:
                    made = change(held.state)
                    return made if made == held.state else held.put(made)
            except Conflict:
                if time.monotonic() >= end:
                    raise
                time.sleep(0.05)


def fingerprint(service: str, version: str) -> str:
    """Names a version of a service among all."""
    return sha256(f"{service}\0{version}".encode()).hexdigest()[:16]


def _check_deployable(history: ServiceHistory, service: str, version: str, run_id: str, attempts: int) -> None:
    found = history.versions.get(version)
    if found is None or history.is_taken_back_by(version, run_id):  # a run that goes on with its own rollback
        return
    clear = f"find out why, then `c500 rollout clear {service} {version} --because …`, or deploy another version"
    if found.state in BLOCKED:
        raise NotAllowed(
            f"{service} {version} was rolled back at {found.at:%Y-%m-%d %H:%M} UTC: {found.why}",
            fix=clear,
            field="version",
            fingerprint=found.fingerprint,
        )
    if run_id not in found.attempts and len(found.attempts) >= attempts:
        raise LimitReached(
            f"{service} {version} was deployed {len(found.attempts)} times, and that is the limit",
            fix=clear,
            field="attempts",
            fingerprint=found.fingerprint,
        )


def _turn(history: ServiceHistory, version: str, run_id: str, most: int, within_s: float) -> Turn:
    found = history.versions.get(version)
    if found is not None and found.state in BLOCKED:
        if found.rollback_run == run_id:
            return "superseded" if found.state != "rolled_back" and history.is_replaced(version) else "ours"
        told: dict[State, Turn] = {"rolling_back": "others", "rolled_back": "done"}
        return told.get(found.state, "failed")
    if history.is_replaced(version):
        return "superseded"
    since = datetime.now(UTC) - timedelta(seconds=within_s)
    return "too_many" if sum(one.at > since for one in history.rollbacks) >= most else "ours"


def _put(history: ServiceHistory, version: str, **facts: object) -> ServiceHistory:
    before = history.versions.get(version)
    now = datetime.now(UTC)
    record = (
        before.model_copy(update={"at": now, **facts})
        if before
        else VersionRecord.model_validate(
            {"fingerprint": fingerprint(history.service, version), "at": now, "state": "deployed", **facts}
        )
    )
    return history.model_copy(update={"versions": {**history.versions, version: record}})
