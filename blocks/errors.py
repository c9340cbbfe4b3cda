"""Typed errors: what went wrong, and what the user can do about it."""

from typing import Any, ClassVar


class C500Error(Exception):
    """An error a user can act on.

    Args:
        message: What is wrong, naming the field or file: one line, or one for each fault of a file.
        fix: One line: how to put it right.
        details: Facts for programs (JSON-compatible values).
    """

    code: ClassVar[str] = "C500_ERROR"
    exit_code: ClassVar[int] = 1
    transient: ClassVar[bool] = False
    """Whether the same call may succeed when tried again a little later."""

    def __init__(self, message: str, *, fix: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.details = details

    def __reduce__(self) -> tuple[Any, ...]:
        # Prefect pickles the exception of a failed run; keyword-only arguments need this.
        return _rebuild, (type(self), self.message, self.fix, self.details)


def _rebuild(kind: type[C500Error], message: str, fix: str, details: dict[str, Any]) -> C500Error:
    return kind(message, fix=fix, **details)


class BadInput(C500Error):
    """The caller gave something that cannot be used as it is."""

    code = "BAD_INPUT"
    exit_code = 2


class NotFound(BadInput):
    """The named thing does not exist."""

    code = "NOT_FOUND"


class BadAudio(BadInput):
    """The file is not a recording that can be decoded."""

    code = "AUDIO_DECODE_ERROR"


class TooLarge(BadInput):
    """The input passes a size or duration limit."""

    code = "FILE_TOO_LARGE"


class Unsupported(BadInput):
    """Nothing installed here can do what was asked."""

    code = "UNSUPPORTED"


class NotAllowed(C500Error):
    """A rule forbids it."""

    code = "NOT_ALLOWED"
    exit_code = 3


class LimitReached(C500Error):
    """A rate, concurrency or queue limit is reached; try again later."""

    code = "LIMIT_REACHED"
    exit_code = 3
    transient = True


class BudgetExceeded(C500Error):
    """The call would pass a budget."""

    code = "BUDGET_EXCEEDED"
    exit_code = 3


class Stopped(C500Error):
    """The run was stopped or cancelled by a person or a switch."""

    code = "STOPPED"
    exit_code = 3


class Conflict(C500Error):
    """Someone else changed the object first."""

    code = "CONFLICT"


class TimedOut(C500Error):
    """The work took longer than allowed."""

    code = "TIMED_OUT"


class EngineFailed(C500Error):
    """An engine answered with something that cannot be used."""

    code = "ENGINE_FAILED"


class OutOfMemory(EngineFailed):
    """A model or its work does not fit the device's memory."""

    code = "OUT_OF_MEMORY"


class EngineUnavailable(C500Error):
    """An engine or a remote source could not be reached for the moment."""

    code = "ENGINE_UNAVAILABLE"
    transient = True


class StoreFailed(C500Error):
    """The store could not be read or written (disk full, no permission, no bucket)."""

    code = "STORE_FAILED"
