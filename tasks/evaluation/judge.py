"""A model as judge: whether statements about an output are true. What it says is an opinion, and costs money."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from blocks.accounts.account import USD_UNIT, Tier
from blocks.errors import C500Error, EngineFailed
from blocks.limits.limit import Limit
from blocks.model import Frozen
from tasks.evaluation.case import Case
from tasks.evaluation.installed import measuring
from tasks.evaluation.output import Output
from tasks.evaluation.scores import Judgement

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse
    from pydantic_ai.models import Model


PURSE = "evaluation/"
"""What the limit's key begins with that holds the money of an evaluation's judge."""


class JudgeOptions(Frozen):
    """Whether a model judges, and which.

    Attributes:
        rubrics: Statements that should be true of every output, beside those of the cases.
        model: Model of accounts.yaml; None: by tier.
        tier: How hard it is, where no model is named.
        budget_usd: Most that the judging of an evaluation may cost.
        user: Whose budget it is.
    """

    rubrics: tuple[str, ...] = ()
    model: str | None = None
    tier: Tier = "complex"
    budget_usd: float | None = Field(default=None, gt=0)
    user: str = "evaluation"


def purse_of(run_id: str, budget_usd: float | None) -> tuple[Limit, ...]:
    """The most that the judging of a run may cost, beside the budgets of accounts.yaml."""
    if budget_usd is None:
        return ()
    amount = round(budget_usd * USD_UNIT)
    return (Limit(key=f"{PURSE}{run_id}/usd", amount=amount, kind="calendar", period="ever"),)


class Judge:
    """Asks a model of pydantic-ai through pydantic-evals.

    Args:
        model: Who is asked.
        options: What for.
    """

    def __init__(self, model: "Model[Any]", options: JudgeOptions) -> None:
        self._model, self._options = model, options

    def rubrics_for(self, case: Case) -> tuple[str, ...]:
        """What is asked of a case's output."""
        return (*self._options.rubrics, *case.rubrics)

    @property
    def identity(self) -> dict[str, Any]:
        """What its judgements depend on."""
        return self._options.model_dump(include={"rubrics", "model", "tier"})

    def why(self, error: C500Error) -> str:
        """Why it did not answer; of its own budget, by the option's name."""
        if any(key.startswith(PURSE) for key in error.details.get("limits", ())):
            return f"--judge-budget-usd, ${self._options.budget_usd:g}, leaves no room for another call"
        return error.message

    async def judge(self, case: Case, output: Output) -> tuple[Judgement, ...]:
        """A judgement of each statement.

        Raises:
            EngineFailed: the model's answer cannot be used.
            C500Error: as `Pool.complete`, as when a budget is spent.
        """
        return tuple([await self._judged(rubric, case, output) for rubric in self.rubrics_for(case)])

    async def _judged(self, rubric: str, case: Case, output: Output) -> Judgement:
        judging = measuring("pydantic_evals.evaluators.llm_as_a_judge")
        noted = _noting(self._model)
        given: dict[str, Any] = {"inputs": _safe(case.text or case.reference or output.said), "output": _shown(output)}
        asked = judging.judge_input_output
        if case.expected:
            asked, given["expected_output"] = judging.judge_input_output_expected, _safe(_json(case.expected))
        try:
            said = await asked(**given, rubric=rubric, model=noted, model_settings={"temperature": 0.0})
        except C500Error:
            raise
        except Exception as error:
            if isinstance(error.__cause__, C500Error):
                raise error.__cause__ from None
            told = f"the judge's answer cannot be used: {type(error).__name__}: {str(error)[:200]}"
            raise EngineFailed(told, fix="choose a stronger model with --judge-model") from error
        return Judgement(
            rubric=rubric,
            passed=said.pass_,
            reason=said.reason[:1000],
            model=noted.answers[-1].model_name or "",
            cost_usd=_cost(noted.answers),
        )


def _noting(model: "Model[Any]") -> Any:
    """The model, which keeps its answers: they say what they cost."""
    from pydantic_ai.models.wrapper import WrapperModel

    class Noting(WrapperModel):
        def __init__(self, wrapped: "Model[Any]") -> None:
            super().__init__(wrapped)
            self.answers: list[ModelResponse] = []

        async def request(self, *args: Any, **named: Any) -> Any:
            answer = await super().request(*args, **named)
            self.answers.append(answer)
            return answer

    return Noting(model)


def _cost(answers: "Sequence[ModelResponse]") -> float | None:
    costs = [(one.provider_details or {}).get("cost_usd") for one in answers]
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def _shown(output: Output) -> str:
    return _safe(_json(output.summary) if output.summary is not None else output.text or "")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _safe(text: str) -> str:
    """It cannot close the marks around it, and so ask for a judgement of its own."""
    return text.replace("</", "< /").replace("<Rubric", "< Rubric")
