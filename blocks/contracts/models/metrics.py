"""The history of metrics: what audits keep of jobs and of periods."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pandera.pandas as pa

from blocks.contracts.rules import Table, blank, rule, told

if TYPE_CHECKING:
    from blocks.contracts.table import Column, Columns

WHOLE = 1 + 1e-9
"""The most of a share: a mean of ones may be a little more than one."""

ENDLESS = float("inf")


class JobMetrics(Table):
    """A finished job in figures."""

    job_id: object = pa.Field(description="id of the job")
    finished_at: float = pa.Field(gt=0, lt=ENDLESS, description="when it was finished, in seconds since 1970")
    kind: object = pa.Field(isin=["audio", "text"], description="what it was made of")
    status: object = pa.Field(isin=["complete", "partial", "no_speech"], description="what came of it")
    engine: object = pa.Field(nullable=True, description="speech engine, with its model")
    template: object = pa.Field(nullable=True, description="summary template")
    language: object = pa.Field(nullable=True, description="language of the transcript")
    audio_s: float = pa.Field(ge=0, lt=ENDLESS, nullable=True, description="length of the audio, in seconds")
    processing_s: float = pa.Field(ge=0, lt=ENDLESS, description="processing time, in seconds")
    rtf: float = pa.Field(ge=0, lt=ENDLESS, nullable=True, description="processing time / length of the audio")
    coverage: float = pa.Field(ge=0, le=WHOLE, nullable=True, description="seconds with speech / length of the audio")
    confidence: float = pa.Field(ge=0, le=WHOLE, nullable=True, description="mean of exp(avg_logprob), by duration")
    edit_rate: float = pa.Field(ge=0, lt=ENDLESS, nullable=True, description="words changed / words")
    tokens: int = pa.Field(ge=0, description="tokens sent and answered")
    cost_usd: float = pa.Field(ge=0, lt=ENDLESS, nullable=True, description="dollars; none where unknown")

    class Config(Table.Config):
        metadata = told(
            stands="the history of metrics: `tasks/quality/audit/history.py`",
            fix="look at the job's result.json; a damaged line goes when its day is audited again",
        )

    @rule("job_id", "not be blank")
    def is_named(cls, table: "Columns") -> "Column":
        return ~blank(table["job_id"])

    @rule("job_id", "be there once for each time it was finished")
    def once(cls, table: "Columns") -> "Column":
        jobs = pd.DataFrame({name: table[name] for name in ("job_id", "finished_at")})
        return ~jobs.duplicated(keep="first").to_numpy()

    @rule("audio_s", "have a value where the job is of audio")
    def has_a_length(cls, table: "Columns") -> "Column":
        return (table["kind"] != "audio") | ~np.isnan(table["audio_s"])


class PeriodMetrics(Table):
    """A period in figures."""

    name: object = pa.Field(unique=True, description="of the period")
    since: float = pa.Field(gt=0, lt=ENDLESS, description="its begin, in seconds since 1970")
    until: float = pa.Field(gt=0, lt=ENDLESS, description="its end, which is no part of it")
    jobs: int = pa.Field(ge=0, description="finished jobs")
    recordings: int = pa.Field(ge=0, description="those of them that are of audio")
    audio_min: float = pa.Field(ge=0, lt=ENDLESS, description="minutes of audio")
    rtf: float = pa.Field(ge=0, lt=ENDLESS, nullable=True, description="processing time / length of all audio")
    coverage: float = pa.Field(ge=0, le=WHOLE, nullable=True, description="mean share of speech, by length")
    confidence: float = pa.Field(ge=0, le=WHOLE, nullable=True, description="mean confidence, by length")
    edit_rate: float = pa.Field(ge=0, lt=ENDLESS, nullable=True, description="mean edit rate")
    partial_share: float = pa.Field(ge=0, le=WHOLE, nullable=True, description="share of jobs that are partial")
    cost_usd: float = pa.Field(ge=0, lt=ENDLESS, nullable=True, description="dollars, of jobs whose cost is known")
    cost_per_min: float = pa.Field(ge=0, lt=ENDLESS, nullable=True, description="dollars a minute of audio")
    verdict: object = pa.Field(isin=["", "passed", "warned", "failed"], description="of its audit")

    class Config(Table.Config):
        metadata = told(
            stands="the history of metrics: `tasks/quality/audit/history.py`",
            fix="audit the period again",
        )

    @rule("until", "be after since")
    def has_a_length(cls, table: "Columns") -> "Column":
        return table["until"] > table["since"]

    @rule("recordings", "be at most jobs")
    def part_of_all(cls, table: "Columns") -> "Column":
        return table["recordings"] <= table["jobs"]
