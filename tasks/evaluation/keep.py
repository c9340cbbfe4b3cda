"""Scores that are kept, so that no case is done twice, and the reports."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from blocks.content import content_hash
from blocks.errors import BadInput, NotFound
from blocks.store.files import Files
from blocks.whole_file import write_whole
from tasks.evaluation.case import Case
from tasks.evaluation.evaluation import Evaluation
from tasks.evaluation.score import VERSION, Scoring
from tasks.evaluation.scores import CaseScore

FOLDER = "evaluations"
MEDIA_TYPES = {".json": "application/json", ".md": "text/markdown", ".html": "text/html"}


def score_key(case: Case, made_by: Mapping[str, Any], scoring: Scoring, judge: Mapping[str, Any] | None) -> str:
    """Where a case's scores lie: a name by everything that they depend on.

    Args:
        case: The case; its audio counts by what `made_by` says of it.
        made_by: What made the output, or the output itself.
        scoring: How it is held against the reference.
        judge: What the judgements depend on.
    """
    labelled = case.model_dump(mode="json", exclude={"audio", "id"})
    name = content_hash([VERSION, labelled, dict(made_by), scoring, dict(judge) if judge else None])[:32]
    return f"{FOLDER}/scores/{name}.json"


def read_score(files: Files, key: str, case: Case) -> CaseScore | None:
    """The scores kept under a name, None where there are none that can be read."""
    try:
        found = CaseScore.model_validate_json(files.read_bytes(key))
    except (NotFound, ValidationError):
        return None
    return found.model_copy(update={"case": case.id, "group": case.group})


def write_score(files: Files, key: str, score: CaseScore) -> None:
    """Keep the scores of a case. Raises `StoreFailed`."""
    files.put_bytes(key, score.model_dump_json().encode(), "application/json")


def keep(files: Files, evaluation: Evaluation, pages: Mapping[str, str]) -> Evaluation:
    """Put an evaluation into the store.

    Args:
        files: The store.
        evaluation: What came out.
        pages: The report in its forms, by file name.

    Returns:
        The same, knowing where its files lie.
    """
    folder = f"{FOLDER}/{evaluation.evaluation_id}"
    names = ["evaluation.json", *pages]
    kept = evaluation.model_copy(update={"files": {name: f"{folder}/{name}" for name in names}})
    for name, page in pages.items():
        files.put_bytes(kept.files[name], page.encode(), MEDIA_TYPES[Path(name).suffix])
    # Last: where it is, the pages are, too.
    content = kept.model_dump_json(indent=2).encode()
    files.put_bytes(kept.files["evaluation.json"], content, MEDIA_TYPES[".json"])
    return kept


def copy_out(files: Files, evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write the files of an evaluation into a folder. Raises `BadInput` where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, key in evaluation.files.items():
            write_whole(folder / name, files.read_bytes(key), mode=0o644, sync=False)
    except OSError as error:
        told = f"{folder} cannot be written: {error.strerror or error}"
        raise BadInput(told, fix="name a folder that can be written", field="out") from error
    return [folder / name for name in evaluation.files]
