"""Diarisation errors: seconds as worked out by hand."""

from pathlib import Path

import pytest

from blocks.errors import BadInput
from tasks.evaluation.case import SpeakerTurn
from tasks.evaluation.rttm import read_rttm
from tasks.evaluation.speakers import SpeakerErrors, speaker_errors

TWO = (("A", 0, 10), ("B", 10, 20))


def turns(*given: tuple[str, float, float]) -> list[SpeakerTurn]:
    return [SpeakerTurn(speaker=speaker, start_s=start_s, end_s=end_s) for speaker, start_s, end_s in given]


def errors(*given: tuple[str, float, float], collar_s: float = 0.0, skip_overlap: bool = False) -> SpeakerErrors:
    return speaker_errors(turns(*TWO), turns(*given), collar_s=collar_s, skip_overlap=skip_overlap)


def test_other_names_for_the_same_voices_are_no_error() -> None:
    assert errors(("1", 0, 10), ("2", 10, 20)).wrong_s == 0
    assert errors(("B", 0, 10), ("A", 10, 20)).wrong_s == 0


def test_what_is_missed_too_much_and_confused_adds_up() -> None:
    found = errors(("x", 0, 12), ("y", 12, 18), ("y", 20, 21))
    # From 10 to 12 B speaks and x is named, from 18 to 20 nobody is, from 20 to 21 nobody speaks.
    assert found == SpeakerErrors(confusion_s=2, missed_s=2, false_alarm_s=1, total_s=20)


def test_the_collar_lies_on_each_side_of_a_boundary() -> None:
    found = errors(("x", 0, 12), ("y", 12, 18), collar_s=0.5)
    # Of the 20 s half a second at 0, one at 10 and half a second at 20 do not count.
    assert found == SpeakerErrors(confusion_s=1.5, missed_s=1.5, total_s=18)


def test_one_voice_for_all_is_confusion_of_the_shorter() -> None:
    assert errors(("x", 0, 20)) == SpeakerErrors(confusion_s=10, total_s=20)


def test_two_at_once_count_twice_or_not_at_all() -> None:
    said, heard = turns(("A", 0, 10), ("B", 8, 12)), turns(("x", 0, 8), ("y", 8, 12))
    counted = speaker_errors(said, heard, collar_s=0, skip_overlap=False)
    assert counted == SpeakerErrors(missed_s=2, total_s=14)
    assert speaker_errors(said, heard, collar_s=0, skip_overlap=True) == SpeakerErrors(total_s=10)


def test_a_voice_that_is_named_twice_at_once_is_one() -> None:
    twice, once = turns(("A", 0, 6), ("A", 4, 10)), turns(("x", 0, 10))
    for said, heard in ((twice, once), (once, twice)):
        assert speaker_errors(said, heard, collar_s=0, skip_overlap=False) == SpeakerErrors(total_s=10)


def test_silence_has_only_false_alarms() -> None:
    assert speaker_errors([], turns(("x", 1, 4)), collar_s=0, skip_overlap=False).false_alarm_s == 3
    assert speaker_errors([], [], collar_s=0.25, skip_overlap=False) == SpeakerErrors(total_s=0)


def test_rttm_is_read_and_its_faults_are_told_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "call.rttm"
    path.write_text(";; made by hand\nSPEAKER call 1 0.5 2.25 <NA> <NA> Anna <NA> <NA>\n")
    assert read_rttm(path) == tuple(turns(("Anna", 0.5, 2.75)))
    for line in ("SPEAKER call 1 0.5 soon <NA> <NA> Anna", "SPEAKER call 1 0.5", "SPEAKER other 1 0 1 <NA> <NA> B"):
        path.write_text(f"SPEAKER call 1 0.5 2.25 <NA> <NA> Anna <NA> <NA>\n{line}\n")
        with pytest.raises(BadInput, match=r"call\.rttm:2: "):
            read_rttm(path)
