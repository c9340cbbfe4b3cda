"""The contract every engine's segments must satisfy before anything is built on them."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from blocks.errors import EngineFailed
from blocks.transcript import Transcript

if TYPE_CHECKING:
    import pandas as pd

OVERLAP_TOLERANCE_S = 0.05
"""Engines round times to 10 or 20 ms; more than this on one speaker is a fault."""

DURATION_TOLERANCE_S = 0.1
FAULTS_NAMED = 3


def check_segments(transcript: Transcript) -> None:
    """Check the segment table: order, bounds, overlap, probabilities, text, and the total length.

    Raises:
        EngineFailed: naming row, column and rule of the first faults.
    """
    if not transcript.segments:
        return
    from pandera.errors import SchemaErrors

    try:
        _contract(transcript.duration_s).validate(segment_table(transcript), lazy=True)
    except SchemaErrors as error:
        faults = _faults(error.failure_cases)
        raise EngineFailed(
            f"engine {transcript.engine.name} gave {len(faults)} faulty cells: " + "; ".join(faults[:FAULTS_NAMED]),
            fix="report it with the recording; another engine may do better (--engine)",
            faults=faults,
        ) from None


def segment_table(transcript: Transcript) -> "pd.DataFrame":
    """One row a segment: start_s, end_s, text, speaker, avg_logprob, no_speech_prob, and its word bounds."""
    import pandas as pd

    rows = [
        {
            "start_s": segment.start_s,
            "end_s": segment.end_s,
            "text": segment.text,
            "speaker": segment.speaker or "",
            "avg_logprob": segment.avg_logprob,
            "no_speech_prob": segment.no_speech_prob,
            "first_word_s": min((word.start_s for word in segment.words), default=segment.start_s),
            "last_word_s": max((word.end_s for word in segment.words), default=segment.end_s),
        }
        for segment in transcript.segments
    ]
    numbers = ["start_s", "end_s", "avg_logprob", "no_speech_prob", "first_word_s", "last_word_s"]
    return pd.DataFrame(rows).astype(dict.fromkeys(numbers, "float64"))


@lru_cache(maxsize=32)
def _contract(duration_s: float) -> Any:
    """The pandera schema of the table for a recording of this length."""
    import pandera.pandas as pa

    latest = duration_s + DURATION_TOLERANCE_S

    class SegmentTable(pa.DataFrameModel):
        """All segments of one transcript."""

        start_s: float = pa.Field(ge=0, le=latest)
        end_s: float = pa.Field(ge=0, le=latest)
        text: str = pa.Field(str_matches=r"\S")
        speaker: str
        avg_logprob: float = pa.Field(le=0, nullable=True)
        no_speech_prob: float = pa.Field(ge=0, le=1, nullable=True)
        first_word_s: float
        last_word_s: float

        class Config:  # pyright: ignore[reportIncompatibleVariableOverride]
            strict = True

        @pa.dataframe_check(name="start_s before end_s")
        def ends_after_start(cls, table: Any) -> Any:
            return table.start_s < table.end_s

        @pa.dataframe_check(name="start_s in order")
        def ordered(cls, table: Any) -> Any:
            return table.start_s >= table.start_s.shift(fill_value=0)

        @pa.dataframe_check(name="start_s after the speaker's last end_s")
        def no_overlap(cls, table: Any) -> Any:
            by_speaker = table.groupby("speaker", sort=False).end_s
            return table.start_s >= by_speaker.shift(fill_value=0) - OVERLAP_TOLERANCE_S

        @pa.dataframe_check(name="words within start_s and end_s")
        def words_inside(cls, table: Any) -> Any:
            early = table.first_word_s < table.start_s - OVERLAP_TOLERANCE_S
            late = table.last_word_s > table.end_s + OVERLAP_TOLERANCE_S
            return ~(early | late)

    return SegmentTable


def _faults(cases: Any) -> list[str]:
    """One line a faulty cell, in order of rows."""
    ordered = cases.sort_values("index", kind="stable").drop_duplicates(["index", "check"])
    return [
        f"row {case.index_} {case.column if case.schema_context == 'Column' else ''}: {case.check}".replace(" :", ":")
        for case in ordered.rename(columns={"index": "index_"}).itertuples()
    ]
