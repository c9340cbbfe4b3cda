"""What an analysis of logs is asked for."""

import codecs

from pydantic import Field, field_validator

from blocks.model import Frozen


class LogOptions(Frozen):
    """How logs are analysed.

    Attributes:
        state: Names the analysis: it goes on where the last of that name ended, and what that found is the baseline.
            None: it stands alone, and the first part of the files is the baseline.
        baseline_share: Share of the bytes that is the baseline where no earlier analysis is.
        encoding: Of the text; None: UTF-8, or as marked at the beginning.
        window_s: Seconds of a window of time.
        max_templates: Kinds of lines that are told apart at once.
        samples: Lines shown of each template.
        context: Lines before and behind each of these.
        spike_factor: How many times its fullest window of the baseline a template's window must have.
        spike_least: Lines without which a window is no spike.
        burst_factor: How many times the errors of a usual window a burst has.
        burst_least: Errors without which a window is no burst.
        shown: Templates of each kind in the report.
    """

    state: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    baseline_share: float = Field(default=0.25, ge=0, lt=1)
    encoding: str | None = None
    window_s: int = Field(default=60, ge=1, le=86_400)
    max_templates: int = Field(default=2_000, ge=10, le=100_000)
    samples: int = Field(default=2, ge=0, le=10)
    context: int = Field(default=3, ge=0, le=20)
    spike_factor: float = Field(default=3.0, gt=1)
    spike_least: int = Field(default=10, ge=1)
    burst_factor: float = Field(default=3.0, gt=1)
    burst_least: int = Field(default=10, ge=1)
    shown: int = Field(default=20, ge=1, le=200)

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str | None) -> str | None:
        if encoding is None:
            return None
        try:
            "\n".encode(encoding)  # not all codecs are of texts
            return codecs.lookup(encoding).name
        except (LookupError, ValueError):
            raise ValueError(f"there is no encoding {encoding!r:.40}; there are utf-8, latin-1, utf-16-le, …") from None
