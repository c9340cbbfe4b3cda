"""Which files of a folder go, and how: rules of a tree, and one file judged by them."""

import fnmatch
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from blocks.model import Frozen

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,40}$")]

LOGS = ("*.log", "*.log.*", "*.log-*", "*.jsonl", "*.jsonl.*", "*.out", "*.err")
AUDIO = ("source", "source.*", "audio.wav")
PROTECTED = (".*", "*.lock", "*.pid", "*.keep")
COMPRESSED = re.compile(r"\.(gz|zst|xz|bz2|lz4|zip)$")

FUTURE_NS = 300 * 1_000_000_000
"""Clocks of machines that share a disk may differ by as much."""

Way = Literal["trash", "delete", "compress"]
"""What is done with a file that is due."""


class Retention(Frozen):
    """How long files are kept.

    Attributes:
        days: Files that were last written longer ago go.
        keep_newest: Of each folder the newest so many stay, however old.
        keep_most: Of each folder at most so many stay, however new; None for any number.
        compress_days: Files that are older, and not due, are compressed with gzip; None: none is.
        trash_days: So long what went can be had back; 0: it is deleted at once, which frees its place at once.
        protected: Patterns of names, or of paths where they have a slash, that never go.
        open_files: Whether files that a process has open go, too; their place is free when it closes them.
        cross_mounts: Whether other file systems mounted below are cleaned, too; only without trash.
    """

    days: float = Field(default=7, ge=0, le=36_500)
    keep_newest: int = Field(default=0, ge=0)
    keep_most: int | None = Field(default=None, ge=0)
    compress_days: float | None = Field(default=None, ge=0, le=36_500)
    trash_days: float = Field(default=1, ge=0, le=3650)
    protected: tuple[str, ...] = ()
    open_files: bool = False
    cross_mounts: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> "Retention":
        if self.cross_mounts and self.trash_days:
            raise ValueError("cross_mounts needs trash_days: 0, as nothing can be moved between file systems")
        if self.keep_most is not None and self.keep_most < self.keep_newest:
            raise ValueError("keep_most is less than keep_newest")
        return self


class Tree(Frozen):
    """A folder that is cleaned, with all below it.

    Attributes:
        name: For people and rules, as `logs`.
        root: The folder; where it is a link, what it leads to is cleaned, and no link below it is followed.
        below: Only what lies in this folder of it; empty for all.
        patterns: Of names, or of paths where they have a slash; only such files are looked at.
        retention: How long they are kept.
    """

    name: Name
    root: Path
    below: str = Field(default="", pattern=r"^([^/.][^/]*)?$")
    patterns: tuple[str, ...] = Field(default=LOGS, min_length=1)
    retention: Retention = Retention()

    def concerns(self, path: str, name: str) -> bool:
        """Whether a file is looked at."""
        return _matches(self.patterns, path, name)

    def protects(self, path: str, name: str) -> bool:
        """Whether a file never goes."""
        return _matches((*PROTECTED, *self.retention.protected), path, name)


def due(ages_ns: list[int], retention: Retention) -> list[Way | str]:
    """What becomes of the files of one folder by age and number.

    Args:
        ages_ns: Nanoseconds since each was written, the youngest first.
        retention: The rules.

    Returns:
        For each what is done, or why it stays: `future`, `newest` or `young`.
    """
    gone: Way = "trash" if retention.trash_days else "delete"
    oldest_ns = retention.days * 86_400e9
    compress_ns = None if retention.compress_days is None else retention.compress_days * 86_400e9
    rank, found = 0, list[Way | str]()
    for age_ns in ages_ns:
        if age_ns < -FUTURE_NS:
            found.append("future")
            continue
        rank += 1
        if rank <= retention.keep_newest:
            found.append("newest")
        elif age_ns > oldest_ns or (retention.keep_most is not None and rank > retention.keep_most):
            found.append(gone)
        elif compress_ns is not None and age_ns > compress_ns:
            found.append("compress")
        else:
            found.append("young")
    return found


def _matches(patterns: tuple[str, ...], path: str, name: str) -> bool:
    names, paths = _compiled(patterns)
    return bool(names.match(name) or paths.match(path))


@lru_cache(maxsize=64)
def _compiled(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    names = [fnmatch.translate(one) for one in patterns if "/" not in one]
    paths = [fnmatch.translate(one.lstrip("/")) for one in patterns if "/" in one]
    return re.compile("|".join(names) or r"(?!)"), re.compile("|".join(paths) or r"(?!)")
