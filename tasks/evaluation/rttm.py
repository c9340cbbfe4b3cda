"""Speaker turns in RTTM, the format of NIST's Rich Transcription evaluations."""

from pathlib import Path

from blocks.errors import BadInput
from tasks.evaluation.case import SpeakerTurn


def read_rttm(path: Path) -> tuple[SpeakerTurn, ...]:
    """The SPEAKER lines of a file of one recording; other lines are passed over.

    Raises:
        BadInput: a line is none, with its number; the file is of several recordings, or cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read as text", fix="give a UTF-8 file of RTTM") from error
    turns: list[SpeakerTurn] = []
    names: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        parts = line.split()
        if not parts or parts[0] != "SPEAKER":
            continue
        names.setdefault(parts[1] if len(parts) > 1 else "", number)
        if len(names) > 1:
            raise _bad(path, number, f"it is of the recording {parts[1]}, and those before of {next(iter(names))}")
        turns.append(_turn(path, number, parts))
    return tuple(turns)


def _turn(path: Path, number: int, parts: list[str]) -> SpeakerTurn:
    try:
        start_s, length_s, speaker = float(parts[3]), float(parts[4]), parts[7]
        return SpeakerTurn(speaker=speaker, start_s=start_s, end_s=start_s + length_s)
    except (IndexError, ValueError):
        raise _bad(path, number, "it is no SPEAKER line of start, length and name") from None


def _bad(path: Path, number: int, what: str) -> BadInput:
    return BadInput(
        f"{path}:{number}: {what}", fix="correct the RTTM file: SPEAKER name 1 start length <NA> <NA> speaker <NA>"
    )
