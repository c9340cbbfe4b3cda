"""An evaluation put together, told, and kept."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from blocks.content import content_hash
from tasks.evaluation.compare import compare
from tasks.evaluation.evaluation import Evaluation, SystemResult
from tasks.evaluation.keep import keep
from tasks.evaluation.normalise import BY_NAME
from tasks.evaluation.page import page
from tasks.evaluation.report import markdown
from tasks.evaluation.run import Run


def finished(run: Run, results: Sequence[SystemResult], seconds: float) -> tuple[Evaluation, str]:
    """The evaluation as it lies in the store, and its report in Markdown.

    Args:
        run: What was done.
        results: Of the candidate, and of the baseline where there is one.
        seconds: How long it took.
    """
    candidate, baseline = results[0], results[1] if len(results) > 1 else None
    costs = [judged.cost_usd for one in results for score in one.scores for judged in score.judgements]
    evaluation = Evaluation(
        evaluation_id=_identity(run, results),
        dataset=run.dataset.name,
        cases=tuple(case.id for case in run.dataset.cases),
        options=run.options,
        normalisation=BY_NAME[run.options.scoring.normalisation].description,
        candidate=candidate,
        baseline=baseline,
        comparison=compare(candidate, baseline, run.options) if baseline else None,
        judge_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
        seconds=round(seconds, 3),
        reused=run.reused,
        finished_at=datetime.now(UTC),
    )
    told = markdown(evaluation)
    return keep(run.files, evaluation, {"report.md": told, "report.html": page(evaluation)}), told


def _identity(run: Run, results: Sequence[SystemResult]) -> str:
    """By everything that was asked, and what did the work: the same again replaces its report."""
    systems = [[one.system, list(one.engines), _given(one)] for one in results]
    asked = run.options.model_dump(mode="json", exclude={"at_once"})
    return content_hash([run.dataset.model_dump(mode="json", exclude={"path"}), systems, asked])[:16]


def _given(result: SystemResult) -> str | None:
    """The content of a file of outputs."""
    return (
        None
        if result.system.hypotheses is None
        else hashlib.sha256(Path(result.system.hypotheses).read_bytes()).hexdigest()
    )
