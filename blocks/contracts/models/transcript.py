"""What engines hear."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pandera.pandas as pa

from blocks.contracts.rules import Table, blank, rule, told

if TYPE_CHECKING:
    from blocks.contracts.table import Column, Columns

OVERLAP_TOLERANCE_S = 0.05
"""Engines round times to 10 or 20 ms; more than this on one speaker is a fault."""

DURATION_TOLERANCE_S = 0.1

WRONG_ENGINE = "report it with the recording; another engine may do better (--engine)"


class Segments(Table):
    """A segment of a transcript, in order of start."""

    start_s: float = pa.Field(ge=0, description="start, seconds from the start of the recording")
    end_s: float = pa.Field(ge=0, description="end, in the same seconds")
    recording_s: float = pa.Field(ge=0, description="length of the recording, the same in all rows")
    text: object = pa.Field(description="what was said")
    speaker: object = pa.Field(nullable=True, description="label of the speaker")
    avg_logprob: float = pa.Field(le=0, nullable=True, description="mean natural log of the probabilities of its words")
    no_speech_prob: float = pa.Field(ge=0, le=1, nullable=True, description="probability that there was no speech")

    class Config(Table.Config):
        metadata = told(stands="what a speech engine gives: `tasks/audio/transcribe.py`", fix=WRONG_ENGINE)

    @rule("end_s", "be after start_s")
    def ends_after_start(cls, table: "Columns") -> "Column":
        return table["start_s"] < table["end_s"]

    @rule("end_s", f"be at most {DURATION_TOLERANCE_S} s after the end of the recording")
    def within_recording(cls, table: "Columns") -> "Column":
        return table["end_s"] <= table["recording_s"] + DURATION_TOLERANCE_S

    @rule("start_s", "be at or after that of the row before")
    def in_order(cls, table: "Columns") -> "Column":
        starts = table["start_s"]
        return np.diff(starts, prepend=starts[:1]) >= 0

    @rule("start_s", f"be at most {OVERLAP_TOLERANCE_S} s before the speaker's last end_s")
    def without_overlap(cls, table: "Columns") -> "Column":
        speakers = pd.factorize(table["speaker"])[0]
        by_speaker = np.argsort(speakers, kind="stable")
        starts, ends, who = table["start_s"][by_speaker], table["end_s"][by_speaker], speakers[by_speaker]
        right = np.ones(len(starts), np.bool_)
        right[by_speaker[1:]] = (who[1:] != who[:-1]) | (starts[1:] >= ends[:-1] - OVERLAP_TOLERANCE_S)
        return right

    @rule("text", "not be blank")
    def says_something(cls, table: "Columns") -> "Column":
        return ~blank(table["text"])


class Words(Table):
    """A word of a transcript, in the order of the segments and in them."""

    segment: int = pa.Field(ge=0, description="number of its segment, from 0")
    segment_start_s: float = pa.Field(ge=0, description="start of that")
    segment_end_s: float = pa.Field(ge=0, description="end of that")
    start_s: float = pa.Field(ge=0, description="start, seconds from the start of the recording")
    end_s: float = pa.Field(ge=0, description="end, in the same seconds")
    text: object = pa.Field(description="the word")
    probability: float = pa.Field(ge=0, le=1, description="of the word")

    class Config(Table.Config):
        metadata = told(stands="what a speech engine gives: `tasks/audio/transcribe.py`", fix=WRONG_ENGINE)

    @rule("end_s", "be at or after start_s")
    def ends_after_start(cls, table: "Columns") -> "Column":
        return table["start_s"] <= table["end_s"]

    @rule("start_s", f"be at most {OVERLAP_TOLERANCE_S} s before its segment")
    def begins_inside(cls, table: "Columns") -> "Column":
        return table["start_s"] >= table["segment_start_s"] - OVERLAP_TOLERANCE_S

    @rule("end_s", f"be at most {OVERLAP_TOLERANCE_S} s after its segment")
    def ends_inside(cls, table: "Columns") -> "Column":
        return table["end_s"] <= table["segment_end_s"] + OVERLAP_TOLERANCE_S

    @rule("start_s", f"be at most {OVERLAP_TOLERANCE_S} s before that of the word before")
    def in_order(cls, table: "Columns") -> "Column":
        starts, segments = table["start_s"], table["segment"]
        is_first = np.diff(segments, prepend=-1) != 0
        return is_first | (np.diff(starts, prepend=starts[:1]) >= -OVERLAP_TOLERANCE_S)
