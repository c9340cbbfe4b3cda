"""What a swarm is to do, checked before anything is spent."""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from blocks.accounts.account import Name, Tier
from blocks.accounts.chat import ChatRequest
from blocks.content import content_hash
from blocks.errors import BadInput, NotFound, Unsupported
from blocks.language.validation import schema_problems
from blocks.model import Frozen
from blocks.rows.prompt import Prompt
from blocks.rows.read import reader_of
from blocks.rows.row import Row, plain
from tasks.swarm.fallback import Fallback

OUTPUTS = (".jsonl", ".ndjson", ".parquet")
LONGEST_LIST_BYTES = 1_000_000
"""Rows that are given as a list travel through Prefect's database with the parameters of the run."""


class SwarmJob(Frozen):
    """A swarm.

    Attributes:
        source: Absolute path of the rows, or the rows.
        prompt: Jinja template; the columns of a row by name, the row itself as `row`.
        output: Absolute path of the output, `.jsonl` or `.parquet`.
        answer_schema: JSON Schema of an object that every answer must satisfy; None for texts.
        model: Model by its name in `accounts.yaml`; None leaves the choice to the tier.
        tier: How hard the prompts are; None for the rules of `accounts.yaml`.
        max_output_tokens: The most tokens of an answer; None for the model's `default_output_tokens`.
        temperature: None for the provider's default.
        accounts: Only accounts of these names or labels; empty for all.
        concurrency: The most calls in flight.
        user: Who pays.
        keep: Columns of the source that go into the output too.
        fallback: A value where the model gives none; only with a schema.
        retry_failed: Do the failed rows again, and only those.
        deadline_s: Seconds within which it ends, done or not; None for no deadline.
        shard_size: Rows of a shard; None: as the work asks for.
        workers: Runs of the deployment `swarm-shard` among which the rows are spread; 0: all of it here.
        part: Which of these runs it is; None for the swarm itself.
    """

    source: str | list[str | dict[str, Any]]
    prompt: str
    output: str
    answer_schema: dict[str, Any] | None = None
    model: Name | None = None
    tier: Tier | None = None
    max_output_tokens: Annotated[int, Field(gt=0)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    accounts: tuple[str, ...] = ()
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 100
    user: Annotated[str, Field(min_length=1)] = "anonymous"
    keep: tuple[str, ...] = ()
    fallback: Fallback | None = None
    retry_failed: bool = False
    deadline_s: Annotated[float, Field(gt=0)] | None = None
    shard_size: Annotated[int, Field(ge=1)] | None = None
    workers: Annotated[int, Field(ge=0, le=999)] = 0
    part: int | None = None

    @cached_property
    def question(self) -> str:
        """Identity of what is asked of each row; answers to another question are no answers to this one."""
        asked = [self.prompt, self.answer_schema, self.model, self.tier, self.max_output_tokens, self.temperature]
        return content_hash(asked)[:8]

    @cached_property
    def swarm_id(self) -> str:
        """Identity for books and artifacts: the same question for the same output is the same swarm."""
        return content_hash([self.question, self.output])[:12]

    @property
    def job_name(self) -> str:
        """What its calls are entered under in the books."""
        return f"swarm-{self.swarm_id}"

    def key_of(self, row: Row) -> str:
        """Hash of the row and of what is asked of it."""
        text = json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return f"{self.question}.{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}"

    def after(self, elapsed_s: float) -> "SwarmJob":
        """The same with what is left of its deadline; a passed one leaves a millisecond, within which nothing ends."""
        if self.deadline_s is None:
            return self
        return self.model_copy(update={"deadline_s": max(0.001, self.deadline_s - elapsed_s)})

    def request(self, prompt: str) -> ChatRequest:
        """What the model is asked."""
        return ChatRequest(
            messages=({"role": "user", "content": prompt},),
            model=self.model,
            tier=self.tier,
            max_output_tokens=self.max_output_tokens,
            temperature=self.temperature,
            response_schema=self.answer_schema,
        )


def swarm_job(**fields: Any) -> SwarmJob:
    """The swarm of these fields, paths made absolute.

    Raises:
        BadInput, NotFound, Unsupported: naming the field that is wrong.
    """
    for name in ("source", "output"):
        if isinstance(fields.get(name), str):
            fields[name] = str(Path(fields[name]).expanduser().absolute())
    if isinstance(fields.get("source"), list):
        fields["source"] = [plain(row) for row in fields["source"]]
    try:
        job = SwarmJob(**fields)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False)[0]
        name = ".".join(map(str, wrong["loc"])) or "swarm"
        raise BadInput(f"{name}: {wrong['msg']}", fix="correct it; see docs/swarm.md", field=name) from None
    check(job)
    return job


def check(job: SwarmJob) -> None:
    """Whether it can be done as it is. Raises as `swarm_job`."""
    Prompt(job.prompt)
    if job.answer_schema is not None:
        _check_schema(job.answer_schema)
    if job.fallback is not None:
        if job.answer_schema is None:
            raise BadInput("a fallback needs a schema", fix="give one, or leave the fallback out", field="fallback")
        job.fallback.check(job.answer_schema)
    if isinstance(job.source, str):
        reader_of(job.source)
        if not Path(job.source).is_file():
            raise NotFound(f"there is no file {job.source}", fix="check the path", field="source")
    elif len(json.dumps(job.source)) > LONGEST_LIST_BYTES:
        raise BadInput(
            "a list of rows may have 1 MB", fix="write them to a JSONL file and give its path", field="source"
        )
    _check_output(job)


def _check_output(job: SwarmJob) -> None:
    path = Path(job.output)
    if path.suffix.lower() not in OUTPUTS:
        raise Unsupported(f"{path.name} is of no format we write", fix=f"use {', '.join(OUTPUTS)}", field="output")
    if not path.parent.is_dir():
        raise NotFound(f"there is no folder {path.parent}", fix="make it", field="output")
    if isinstance(job.source, str) and path.exists() and path.samefile(job.source):
        raise BadInput("the output is the source", fix="name another file", field="output")


def _check_schema(schema: dict[str, Any]) -> None:
    if problems := schema_problems(schema):
        raise BadInput(f"the schema {problems[0]}", fix="give a JSON Schema of an object", field="schema")
