"""Diarisation error: seconds in which the wrong voice, a voice too many or none is named."""

from collections.abc import Sequence
from typing import Any

from blocks.model import Frozen
from tasks.evaluation.case import SpeakerTurn
from tasks.evaluation.installed import measuring


class SpeakerErrors(Frozen):
    """Seconds of error, with the speakers named as fits best.

    Attributes:
        missed_s: Somebody speaks, and nobody is named.
        false_alarm_s: Somebody is named who does not speak.
        confusion_s: Another speaker is named.
        total_s: Speech of the reference that counts; of two who speak at once both do.
    """

    missed_s: float = 0.0
    false_alarm_s: float = 0.0
    confusion_s: float = 0.0
    total_s: float

    @property
    def wrong_s(self) -> float:
        """All seconds of error."""
        return self.missed_s + self.false_alarm_s + self.confusion_s


def speaker_errors(
    reference: Sequence[SpeakerTurn], hypothesis: Sequence[SpeakerTurn], *, collar_s: float, skip_overlap: bool
) -> SpeakerErrors:
    """Diarisation errors by pyannote.metrics.

    Args:
        reference: Who speaks when.
        hypothesis: The same as the output has it.
        collar_s: Seconds before and after each boundary of the reference that do not count, as NIST's md-eval has it.
        skip_overlap: Whether stretches in which several people of the reference speak do not count.
    """
    rates, core = measuring("pyannote.metrics.diarization"), measuring("pyannote.core")
    # pyannote's collar is the whole width around a boundary (4.2), and not what lies on each side of it.
    metric = rates.DiarizationErrorRate(collar=2 * collar_s, skip_overlap=skip_overlap)
    end_s = max((turn.end_s for turn in (*reference, *hypothesis)), default=0.0)
    whole = core.Timeline([core.Segment(0, end_s)])
    found = metric(_annotation(core, reference), _annotation(core, hypothesis), uem=whole, detailed=True)
    return SpeakerErrors(
        missed_s=round(found["missed detection"], 6),
        false_alarm_s=round(found["false alarm"], 6),
        confusion_s=round(found["confusion"], 6),
        total_s=round(found["total"], 6),
    )


def _annotation(core: Any, turns: Sequence[SpeakerTurn]) -> Any:
    made = core.Annotation()
    for number, turn in enumerate(turns):
        if turn.end_s > turn.start_s:
            made[core.Segment(turn.start_s, turn.end_s), number] = turn.speaker
    return made.support()  # of a voice that is named twice at once there is still one
