"""Datasets that people write by hand: a manifest, and audio, texts and labels beside it."""

from pathlib import Path
from typing import Any, cast

from pydantic import Field, model_validator

from blocks.errors import BadInput
from blocks.model import Frozen
from tasks.evaluation.case import Case, Dataset, Match, SpeakerTurn, TimedWord
from tasks.evaluation.records import Records, read_records
from tasks.evaluation.rttm import read_rttm


def short_words(given: Any) -> Any:
    """A record whose words may be lists of start, end and text."""
    if not isinstance(given, dict) or not isinstance(given.get("words"), list):
        return given
    fields = cast(dict[str, Any], given)
    names = ("start_s", "end_s", "text")
    words = [
        dict(zip(names, cast(list[Any], word), strict=False)) if isinstance(word, list) else word
        for word in cast(list[Any], fields["words"])
    ]
    return {**fields, "words": words}


class Row(Frozen):
    """A record of the manifest; paths are relative to it."""

    id: str | None = Field(default=None, min_length=1, max_length=200)
    audio: str | None = Field(default=None, min_length=1)
    start_s: float | None = Field(default=None, ge=0)
    end_s: float | None = Field(default=None, gt=0)
    text: str | None = Field(default=None, min_length=1)
    text_file: str | None = None
    reference: str | None = None
    reference_file: str | None = None
    words: tuple[TimedWord, ...] = ()
    turns: tuple[SpeakerTurn, ...] | None = None
    rttm: str | None = None
    language: str | None = Field(default=None, pattern=r"^[a-z]{2,3}$")
    template: str | None = None
    expected: dict[str, Any] = Field(default_factory=dict)
    match: dict[str, Match] = Field(default_factory=dict)
    rubrics: tuple[str, ...] = ()
    group: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_words(cls, given: Any) -> Any:
        return short_words(given)

    @model_validator(mode="after")
    def _is_one_thing(self) -> "Row":
        given = [name for name in ("audio", "text", "text_file") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of audio, text and text_file, not {' and '.join(given) or 'none'}")
        for one, other in (("reference", "reference_file"), ("turns", "rttm")):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise ValueError(f"give {one} or {other}, not both")
        if self.audio is None:
            self._of_audio_only()
        elif not self._is_labelled:
            raise ValueError("nothing says what is right: give reference, words, turns, expected, rubrics or template")
        if self.start_s is not None and self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError("end_s must be after start_s")
        return self

    @property
    def _is_labelled(self) -> bool:
        texts = (self.reference, self.reference_file, self.turns, self.rttm, self.template)
        return bool(self.words or self.expected or self.rubrics) or any(one is not None for one in texts)

    def _of_audio_only(self) -> None:
        for name in ("start_s", "end_s", "reference", "reference_file", "turns", "rttm"):
            if getattr(self, name) is not None:
                raise ValueError(f"{name} is of recordings, and this is a text")
        if self.words:
            raise ValueError("words is of recordings, and this is a text")


def read_dataset(path: Path, only: tuple[str, ...] = ()) -> Dataset:
    """A dataset from its manifest.

    Args:
        path: A `.jsonl`, `.csv` or `.yaml` file; see docs/evaluation.md.
        only: Ids of cases that are meant; empty: all.

    Raises:
        NotFound, Unsupported: there is no such file, or its format is none of these.
        BadInput: it is wrong; every fault is named with file and line.
    """
    records = read_records(path, "dataset", "cases")
    cases: list[Case] = []
    problems: list[tuple[int, str]] = []
    lines: dict[str, int] = {}
    for number, (row, line) in enumerate(records.read_as(Row), start=1):
        try:
            case = _case(row, path.parent, row.id or str(number))
        except BadInput as error:
            problems.append((line, error.message))
            continue
        if case.id in lines:
            problems.append((line, f"id: {case.id} is the case of line {lines[case.id]}, too"))
        lines[case.id] = line
        cases.append(case)
    if problems:
        raise records.wrong(problems)
    return Dataset(name=path.stem, path=str(path), cases=_chosen(cases, only, records))


def _chosen(cases: list[Case], only: tuple[str, ...], records: Records) -> tuple[Case, ...]:
    if unknown := [one for one in only if one not in {case.id for case in cases}]:
        raise BadInput(
            f"{records.path} has no case {', '.join(unknown)}",
            fix="name cases by their id, or by their number",
            field="only",
        )
    return tuple(case for case in cases if not only or case.id in only)


def _case(row: Row, folder: Path, name: str) -> Case:
    words = row.words
    reference = row.reference if row.reference_file is None else _content(folder, "reference_file", row.reference_file)
    if reference is None and words:
        reference = " ".join(word.text for word in words)
    return Case(
        id=name,
        audio=None if row.audio is None else _audio(folder, row.audio, cut=(row.start_s, row.end_s) != (None, None)),
        start_s=row.start_s,
        end_s=row.end_s,
        text=row.text if row.text_file is None else _content(folder, "text_file", row.text_file),
        reference=reference,
        words=words,
        turns=row.turns if row.rttm is None else read_rttm(folder / row.rttm),
        **row.model_dump(include={"language", "template", "expected", "match", "rubrics", "group"}),
    )


def _audio(folder: Path, audio: str, *, cut: bool) -> str:
    if "://" in audio:
        if cut:
            raise BadInput("audio: a stretch can be cut out of local files only", fix="fetch the recording first")
        return audio
    path = folder / Path(audio).expanduser()
    if not path.is_file():
        raise BadInput(f"audio: there is no file {path}", fix="check the path")
    return str(path.absolute())


def _content(folder: Path, field: str, name: str) -> str:
    path = folder / Path(name).expanduser()
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{field}: {path} cannot be read as text", fix="check the path") from error
