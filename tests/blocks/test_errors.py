"""Errors survive the way through Prefect's pickled states."""

import pickle

from blocks.errors import BadInput, LimitReached, TooLarge


def test_an_error_keeps_everything_when_pickled() -> None:
    error = TooLarge("file is 600 MB", fix="raise MAX_FILE_SIZE_MB", filename="a.wav")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is TooLarge
    assert (copy.message, copy.fix, copy.details) == (error.message, error.fix, error.details)


def test_exit_codes_tell_input_from_refusal() -> None:
    assert BadInput("x", fix="y").exit_code == 2
    assert LimitReached("x", fix="y").exit_code == 3
