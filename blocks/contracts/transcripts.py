"""Transcripts as tables, and held against their contracts."""

from itertools import chain
from typing import TYPE_CHECKING, Any

from blocks.contracts.check import check
from blocks.contracts.table import numbers, texts
from blocks.transcript import Transcript

if TYPE_CHECKING:
    from blocks.contracts.table import Columns


def check_transcript(transcript: Transcript) -> None:
    """Hold segments and words against their contracts: order, bounds, overlap, probabilities, text, total length.

    Raises:
        ContractBroken: naming row, column and rule of the first faults.
    """
    if not transcript.segments:
        return
    check("segments", segment_table(transcript))
    if words := word_table(transcript):
        check("words", words, rows=lambda: _names_of_words(transcript))


def segment_table(transcript: Transcript) -> "Columns":
    """The columns of the contract `segments`."""
    import numpy as np

    segments = transcript.segments
    return {
        "start_s": numbers([one.start_s for one in segments]),
        "end_s": numbers([one.end_s for one in segments]),
        "recording_s": np.full(len(segments), transcript.duration_s, np.float64),
        "text": texts([one.text for one in segments]),
        "speaker": texts([one.speaker for one in segments]),
        "avg_logprob": numbers([one.avg_logprob for one in segments]),
        "no_speech_prob": numbers([one.no_speech_prob for one in segments]),
    }


def word_table(transcript: Transcript) -> "Columns | None":
    """The columns of the contract `words`; None where the engine gave none."""
    import numpy as np

    segments: Any = [one for one in enumerate(transcript.segments) if one[1].words]
    if not segments:
        return None
    words = [*chain.from_iterable(segment.words for _, segment in segments)]
    counts = [len(segment.words) for _, segment in segments]
    return {
        "segment": np.repeat(np.array([number for number, _ in segments], np.int64), counts),
        "segment_start_s": np.repeat(numbers([segment.start_s for _, segment in segments]), counts),
        "segment_end_s": np.repeat(numbers([segment.end_s for _, segment in segments]), counts),
        "start_s": numbers([one.start_s for one in words]),
        "end_s": numbers([one.end_s for one in words]),
        "text": texts([one.text for one in words]),
        "probability": numbers([one.probability for one in words]),
    }


def _names_of_words(transcript: Transcript) -> list[str]:
    """Number of the segment, and of the word in it, both from 0."""
    return [f"{number}.{at}" for number, one in enumerate(transcript.segments) for at in range(len(one.words))]
