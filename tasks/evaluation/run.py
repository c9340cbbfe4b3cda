"""The cases of a dataset, run through a system and scored, each once."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from blocks import timeline
from blocks.errors import BadInput, C500Error, EngineFailed, Stopped
from blocks.job import JobOptions, JobPlan, JobResult
from blocks.progress import OnProgress, in_thread
from blocks.residency import keep_loaded
from blocks.store.files import Files
from tasks.evaluation.case import Case, Dataset
from tasks.evaluation.compare import totals_of
from tasks.evaluation.cut import cut
from tasks.evaluation.evaluation import EvaluationOptions, SystemResult
from tasks.evaluation.judge import Judge
from tasks.evaluation.keep import read_score, score_key, write_score
from tasks.evaluation.output import Given, Output, output_given, output_of, read_outputs
from tasks.evaluation.score import SchemaOf, score
from tasks.evaluation.scores import CaseFailure, CaseScore, Judgement
from tasks.evaluation.system import System, in_force

R = TypeVar("R")

Process = Callable[[Case, str, JobOptions], Awaitable[JobResult]]
"""Runs a case's job; takes the case, where its input lies, and the options."""

PlanOf = Callable[[JobOptions, bool], JobPlan]
"""What would do the work, with every version; takes the options, and whether there is audio."""


@dataclass
class Run:
    """An evaluation at work.

    Attributes:
        dataset: What is evaluated.
        options: How.
        files: The store.
        process: Runs jobs.
        plan_of: Plans them.
        schema_of: Finds templates' schemas.
        judge: Judges; None: nobody does.
        refresh: Whether everything is done again.
        on_share: Told how far it is.
        systems: How many there are, for the share.
        reused: Cases that were found done.
    """

    dataset: Dataset
    options: EvaluationOptions
    files: Files
    process: Process
    plan_of: PlanOf
    schema_of: SchemaOf
    judge: Judge | None = None
    refresh: bool = False
    on_share: OnProgress = lambda share: None
    systems: int = 1
    reused: int = 0
    _ended: int = field(default=0, init=False)

    async def evaluated(self, system: System) -> SystemResult:
        """Every case of a system; one that fails is told with its error, and stops none of the others.

        Raises:
            C500Error: no recording or no text can be planned, or the file of outputs cannot be used.
            Stopped: a person or a switch stopped it; what is done is kept.
        """
        with in_force(system.settings):
            made = await self._made(system)
            slots = asyncio.Semaphore(self.options.at_once)
            async with keep_loaded():
                found = await _all([self._done(case, made, slots) for case in self.dataset.cases])
        scores = tuple(one for one in found if isinstance(one, CaseScore))
        return SystemResult(
            system=system,
            label=system.label,
            scores=scores,
            failures=tuple(one for one in found if isinstance(one, CaseFailure)),
            totals=totals_of(scores, self.options),
            engines=made.engines,
            notes=made.notes,
        )

    async def check(self, system: System) -> None:
        """See whether a system can be evaluated at all, before hours are spent on another. Raises as `evaluated`."""
        with in_force(system.settings):
            await self._made(system)

    async def _made(self, system: System) -> "_Made":
        return await in_thread(_Jobs if system.hypotheses is None else _Outputs, self, system)

    async def _done(self, case: Case, made: "_Made", slots: asyncio.Semaphore) -> CaseScore | CaseFailure:
        async with slots:
            timeline.on_step.set(None)  # the steps of many jobs at once would only flicker
            try:
                return await self._scored(case, made)
            except Stopped:
                raise
            except Exception as error:  # noqa: BLE001 - recorded: one case must not stop the others
                return _failure(case, error)
            finally:
                self._ended += 1
                self.on_share(self._ended / (self.systems * len(self.dataset.cases)))

    async def _scored(self, case: Case, made: "_Made") -> CaseScore:
        made_by = await in_thread(made.made_by, case)
        asks = self.judge if self.judge is not None and self.judge.rubrics_for(case) else None
        key = made_by and score_key(case, made_by, self.options.scoring, asks and asks.identity)
        if key and not self.refresh and (kept := await in_thread(read_score, self.files, key, case)) is not None:
            self.reused += 1
            return kept
        output = await made.output(case)
        judgements, said = await _judgements(asks, case, output)
        found = await in_thread(
            score,
            case,
            output,
            self.options.scoring,
            template=made.template(case, output),
            schema_of=self.schema_of,
            judgements=judgements,
        )
        if said is not None:
            found = found.model_copy(update={"lacks": (*found.lacks, "judge")})
        if notes := (*output.lost, *([said] if said else [])):
            return found.model_copy(update={"notes": notes})  # not kept: the next run tries it again
        if key:
            await in_thread(write_score, self.files, key, found)
        return found


async def _all(works: Sequence[Coroutine[Any, Any, R]]) -> list[R]:
    """What all of them give; when this ends, none goes on: the settings of its system hold no longer."""
    tasks = [asyncio.ensure_future(one) for one in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _judgements(judge: Judge | None, case: Case, output: Output) -> tuple[tuple[Judgement, ...], str | None]:
    """What the judge says, or why it says nothing: the other figures of the case stand all the same."""
    if judge is None:
        return (), None
    try:
        return await judge.judge(case, output), None
    except Stopped:
        raise
    except C500Error as error:
        return (), f"the judge did not answer: {judge.why(error)}"


def _failure(case: Case, error: Exception) -> CaseFailure:
    if isinstance(error, C500Error):
        return CaseFailure(case=case.id, group=case.group, code=error.code, message=error.message, fix=error.fix)
    told = str(error) or type(error).__name__
    return CaseFailure(case=case.id, group=case.group, code=type(error).__name__, message=told, fix="report it")


class _Jobs:
    """Outputs that jobs of this system give."""

    notes = ()

    def __init__(self, run: Run, system: System) -> None:
        self._run, self._system = run, system
        self._plans: dict[str, JobPlan | C500Error] = {}
        self._hashes: dict[str, str] = {}
        for audio in (True, False):
            planned = [self._plan(case) for case in run.dataset.cases if (case.text is None) == audio]
            refused = [one for one in planned if isinstance(one, C500Error)]
            if refused and len(refused) == len(planned):
                raise refused[0]  # not one failure a case, where the configuration cannot work at all
        self.engines = _engines([one for one in self._plans.values() if isinstance(one, JobPlan)])

    def _plan(self, case: Case) -> JobPlan | C500Error:
        options, audio = self._system.options_for(case), case.text is None
        name = f"{audio} {options.model_dump_json()}"
        if name not in self._plans:
            try:
                self._plans[name] = self._run.plan_of(options, audio)
            except C500Error as error:
                self._plans[name] = error
        return self._plans[name]

    def made_by(self, case: Case) -> dict[str, Any] | None:
        """Versions and input; None for an input that may change, as one at an address."""
        plan = self._plan(case)
        if isinstance(plan, C500Error):
            raise plan
        if case.audio is not None and "://" in case.audio:
            return None
        audio = None if case.audio is None else self._hash(case.audio)
        return {"plan": plan.model_dump(mode="json"), "audio": audio, "text": self._system.text}

    def _hash(self, audio: str) -> str:
        """Of a recording, read once though many cases be stretches of it."""
        if audio not in self._hashes:
            self._hashes[audio] = _sha256(Path(audio))
        return self._hashes[audio]

    def template(self, case: Case, output: Output) -> str | None:
        """The template of a case's summary."""
        options = self._system.options_for(case)
        return options.template if "summary" in options.features else None

    async def output(self, case: Case) -> Output:
        """Run the job, or find it done."""
        async with self._input(case) as source:
            result = await self._run.process(case, source, self._system.options_for(case))
        return await in_thread(output_of, self._run.files, self._system, case, result)

    @asynccontextmanager
    async def _input(self, case: Case) -> AsyncGenerator[str]:
        """Where the input lies; what is cut out, and a text, in a file for as long as it is needed."""
        if case.audio is not None and (case.start_s, case.end_s) == (None, None):
            yield case.audio
            return
        with self._run.files.scratch("text.txt" if case.audio is None else "cut.wav") as path:
            if case.audio is None:
                await in_thread(path.write_text, case.text or "", "utf-8")
            else:
                await in_thread(cut, Path(case.audio), case.start_s, case.end_s, path)
            yield str(path)


class _Outputs:
    """Outputs that a file gives."""

    engines = ()

    def __init__(self, run: Run, system: System) -> None:
        self._run, self._system, cases = run, system, run.dataset.cases
        self._schemas: dict[str, Mapping[str, Any]] = {}
        self._given = read_outputs(Path(system.hypotheses or ""), cases)
        others = len(self._given.keys() - {case.id for case in cases})
        self.notes = (f"{others} of its outputs are of no case that is evaluated",) if others else ()

    def made_by(self, case: Case) -> dict[str, Any]:
        """The output itself, and the schema that it is held against."""
        template = self.template(case, None)
        told = {"template": template, "schema": None if template is None else self._schema(template)}
        return self._of(case).model_dump(mode="json", exclude={"id"}) | told

    def _schema(self, template: str) -> Mapping[str, Any]:
        if template not in self._schemas:
            self._schemas[template] = self._run.schema_of(template)
        return self._schemas[template]

    def template(self, case: Case, output: Output | None) -> str | None:
        """The template that the case or the system names."""
        named = self._system.options.get("template") or case.template
        return str(named) if named else None

    async def output(self, case: Case) -> Output:
        """The output of the file. Raises `EngineFailed`, `BadInput`: there is none."""
        return output_given(case, self._of(case))

    def _of(self, case: Case) -> Given:
        given = self._given.get(case.id)
        if given is None:
            raise BadInput("the file has no output for it", fix="add a record with its id")
        if given.error is not None:
            raise EngineFailed(given.error, fix="see the system that gave the outputs")
        return given


_Made = _Jobs | _Outputs


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _engines(plans: Sequence[JobPlan]) -> tuple[str, ...]:
    """Name, version and model of everything that does the work."""
    used = [one for plan in plans for one in (plan.versions.speech, plan.versions.diarisation, plan.versions.language)]
    told = [" ".join(filter(None, (one.name, one.version, one.model))) for one in used if one is not None]
    return tuple(dict.fromkeys(told))
