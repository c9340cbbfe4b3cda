"""What a batch is to do: a file that people write, checked wholly before anything is spent."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, TypeAdapter, model_validator

from blocks.accounts.account import Name, Tier
from blocks.content import content_hash
from blocks.errors import BadInput, C500Error
from blocks.faults import Fault, Place, faulty
from blocks.model import Frozen
from blocks.rows.prompt import Prompt, prompt_problems
from blocks.yaml_file import YamlText, read_yaml
from tasks.batch_prompts.columns import NAME, AnyColumn, tidy
from tasks.batch_prompts.keys import MOST_UNITS, Keys, KeyValues
from tasks.batch_prompts.source import columns_of, in_nfc

DOCS = "docs/batch-prompts.md"
OUTPUTS = ("", ".csv", ".xlsx")
WRITTEN = (".csv", ".xlsx", ".dead.csv")
"""Files beside each other that a table could be, too."""

EngineName = Literal["llm", "agent"]
ColumnName = Annotated[str, Field(pattern=NAME)]


class Group(Frozen):
    """The rows of one value of the group column.

    Attributes:
        template: Path of the template, from the plan's folder; or
        prompt: the template itself.
        model: Another model than the plan's.
        tier: Another tier than the plan's.
    """

    template: str | None = None
    prompt: str | None = None
    model: Name | None = None
    tier: Tier | None = None

    @model_validator(mode="after")
    def _has_one_template(self) -> "Group":
        if (self.template is None) == (self.prompt is None):
            raise ValueError("it needs either template, a path, or prompt, the text itself")
        return self


class AgentOptions(Frozen):
    """How sessions of agents answer.

    Attributes:
        servers: Names of AGENT_SERVERS_FILE; empty for all.
        model_key: The first of the server's model keys to take; None for the server's order.
        input_name: Name of the uploaded table.
        output_name: Name of the table that the agent must write.
    """

    servers: tuple[str, ...] = ()
    model_key: str | None = None
    input_name: Annotated[str, Field(pattern=r"^[\w-]+\.csv$")] = "rows.csv"
    output_name: Annotated[str, Field(pattern=r"^[\w-]+\.csv$")] = "output.csv"


class PlanFile(Frozen):
    """A plan as it is written.

    Attributes:
        name: What it is called.
        source: Path of the table, from the plan's folder: CSV, XLSX, JSONL or Parquet.
        output: Where the answers go, from the plan's folder; CSV and XLSX are both written.
        group_column: The column that says which group a row is of.
        groups: Templates by the column's value.
        columns: What is asked for, by column.
        per_row: Keys of the output rows of each input row; none: one output row each.
        keep: Columns of the table that go into the output too; the group column always does.
        row_column: Name of the column with the number of the input row.
        chunk_size: Input rows of one prompt.
        engine: Who answers.
        model: Model by its name in `accounts.yaml`; None leaves the choice to the tier.
        tier: How hard the prompts are; None for the rules of `accounts.yaml`.
        max_output_tokens: The most tokens of an answer.
        temperature: None for the provider's default.
        accounts: Only accounts of these names or labels; empty for all.
        concurrency: Chunks in flight at most.
        user: Who pays.
        reviews: Whether rows that no prompt gets answered are put before people.
        agent: How agents answer.
    """

    name: Annotated[str, Field(pattern=r"^[\w .-]{1,80}$")]
    source: Annotated[str, Field(min_length=1)]
    output: Annotated[str, Field(min_length=1)]
    group_column: Annotated[str, Field(min_length=1)]
    groups: dict[str, Group] = Field(min_length=1)
    columns: dict[ColumnName, AnyColumn] = Field(min_length=1)
    per_row: dict[ColumnName, KeyValues] = Field(default_factory=dict)
    keep: tuple[str, ...] = ()
    row_column: ColumnName = "row"
    chunk_size: Annotated[int, Field(ge=1, le=200)] = 5
    engine: EngineName = "llm"
    model: Name | None = None
    tier: Tier | None = None
    max_output_tokens: Annotated[int, Field(gt=0)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    accounts: tuple[str, ...] = ()
    concurrency: Annotated[int, Field(ge=1, le=1_000)] = 50
    user: Annotated[str, Field(min_length=1)] = "anonymous"
    reviews: bool = True
    agent: AgentOptions = AgentOptions()

    @model_validator(mode="after")
    def _fits_together(self) -> "PlanFile":
        if faults := [*_clashes(self), *_wrong_keys(self)]:
            raise faulty(faults)
        return self


class Plan(Frozen):
    """A plan with its paths found and its templates read.

    Attributes:
        file: As it is written.
        source: Absolute path of the table.
        stem: Absolute path of the output, without an ending.
        templates: Template by group.
    """

    file: PlanFile
    source: str
    stem: str
    templates: dict[str, str]

    @cached_property
    def per_row(self) -> Keys:
        """Output rows of an input row."""
        return Keys(values=self.file.per_row)

    @cached_property
    def plan_id(self) -> str:
        """Identity for books and artifacts: the same plan for the same output."""
        return content_hash([self.file.name, self.stem])[:12]

    @property
    def job_name(self) -> str:
        """What its calls are entered under in the books."""
        return f"batch-prompts-{self.plan_id}"

    @cached_property
    def prompts(self) -> dict[str, Prompt]:
        """The templates, ready to be used."""
        return {group: Prompt(template) for group, template in self.templates.items()}

    @cached_property
    def versions(self) -> dict[str, str]:
        """Of each group, identity of what is asked and of the model; other answers are no answers to it."""
        file = self.file
        asked = [
            {name: column.model_dump() for name, column in file.columns.items()},
            list(file.per_row.items()),  # their order too: the ledger has answers by the place of their combination
            file.max_output_tokens,
            file.temperature,
        ]
        return {
            group: content_hash([template, asked, self.model_of(group), self.tier_of(group)])
            for group, template in self.templates.items()
        }

    def model_of(self, group: str) -> str | None:
        """The model of a group."""
        return self.file.groups[group].model or self.file.model

    def tier_of(self, group: str) -> Tier | None:
        """The tier of a group."""
        return self.file.groups[group].tier or self.file.tier

    def place(self, ending: str) -> Path:
        """A file beside the output, as `.ledger.db`."""
        return Path(f"{self.stem}{ending}")


FORM = TypeAdapter(PlanFile)


def read_plan(path: Path, **instead: Any) -> Plan:
    """The plan of a file, with its templates.

    Args:
        path: The file.
        instead: Fields that take the place of the file's, as `engine`; `output` counts from the working folder.

    Raises:
        NotFound: there is no such file.
        BadInput: it is no such plan; `details["problems"]` has every fault with its line. Or there is no such engine.
    """
    path = path.expanduser().absolute()
    read = read_yaml(path, fix=f"correct it; {DOCS} shows its form", field="plan")
    read = replace(read, content=in_nfc(read.content))
    file = read.read_as(FORM)
    given = {name: value for name, value in instead.items() if value is not None}
    if "output" in given:
        given["output"] = str(Path(given["output"]).expanduser().absolute())
    if given.get("engine", file.engine) not in get_args(EngineName):
        raise BadInput(
            f"there is no engine {given['engine']}", fix=f"use one of {', '.join(get_args(EngineName))}", field="engine"
        )
    file = file.model_copy(update=given)
    return _found(read, file, path.parent)


def _found(read: YamlText, file: PlanFile, folder: Path) -> Plan:
    faults: list[Fault] = []
    templates: dict[str, str] = {}
    for group, one in file.groups.items():
        text, what = _template(one, folder)
        place: Place = ("groups", group, "prompt" if one.template is None else "template")
        faults += [Fault(place, what)] if what else [Fault(place, f"it {why}") for why in prompt_problems(text)]
        templates[tidy(group)] = text
    source, output = folder / Path(file.source).expanduser(), folder / Path(file.output).expanduser()
    faults += _of_source(file, source)
    if not output.parent.is_dir():
        faults.append(Fault(("output",), f"there is no folder {output.parent}"))
    if output.suffix.lower() not in OUTPUTS:
        faults.append(Fault(("output",), "it ends neither in .csv nor in .xlsx; both are written"))
    stem = str(output.with_suffix("")) if output.suffix else str(output)
    if source.resolve() in (Path(f"{stem}{ending}").resolve() for ending in WRITTEN):
        faults.append(Fault(("output",), "it would overwrite the source"))
    if faults:
        raise read.wrong(faults)
    named = {
        "groups": {tidy(group): one for group, one in file.groups.items()},
        "group_column": tidy(file.group_column),
        "keep": tuple(map(tidy, file.keep)),
    }
    return Plan(file=file.model_copy(update=named), source=str(source), stem=stem, templates=templates)


def _of_source(file: PlanFile, source: Path) -> list[Fault]:
    """What is wrong with the table, as far as its first row shows."""
    try:
        columns = columns_of(str(source))
    except C500Error as error:
        return [Fault(("source",), error.message)]
    if not columns:
        return [Fault(("source",), "the table has no rows")]
    known = f"the table has no such column; it has {', '.join(columns[:20])}"
    faults = [Fault(("keep", at), known) for at, name in enumerate(file.keep) if tidy(name) not in columns]
    if tidy(file.group_column) not in columns:
        faults.append(Fault(("group_column",), known))
    if file.row_column in columns:
        faults.append(Fault(("row_column",), f"the table has a column {file.row_column}; give this another name"))
    return faults


def _template(group: Group, folder: Path) -> tuple[str, str | None]:
    """The text of a template, and why it cannot be had."""
    if group.prompt is not None:
        return group.prompt, None
    place = folder / Path(group.template or "").expanduser()
    try:
        return place.read_text(encoding="utf-8-sig"), None
    except FileNotFoundError:
        return "", f"there is no file {place}"
    except UnicodeDecodeError:
        return "", f"{place} is not UTF-8 text"
    except OSError as error:
        return "", f"{place} cannot be read: {error.strerror or error}"


def _clashes(file: PlanFile) -> list[Fault]:
    """Columns of the output that have one name."""
    told: list[Fault] = []
    named: dict[str, Place] = {file.row_column: ("row_column",)}
    kept = [(name, ("keep", at)) for at, name in enumerate(file.keep)]
    keys = [(name, ("per_row", name)) for name in file.per_row]
    columns = [(name, ("columns", name)) for name in file.columns]
    for name, place in [(file.group_column, ("group_column",)), *kept, *keys, *columns]:
        if name in named and place[0] != "keep":
            told.append(Fault(place, f"two columns of the output would be named {name}", named[name]))
        named.setdefault(name, place)
    groups: dict[str, Place] = {}
    for group in file.groups:
        if tidy(group) in groups:
            told.append(Fault(("groups", group), "it is the same as another group", groups[tidy(group)]))
        groups.setdefault(tidy(group), ("groups", group))
    return told


def _wrong_keys(file: PlanFile) -> list[Fault]:
    told: list[Fault] = []
    for name, values in file.per_row.items():
        if not isinstance(values, int) and len(set(map(tidy, values))) < len(values):
            told.append(Fault(("per_row", name), "a value stands there twice"))
        if not isinstance(values, int) and not all(map(tidy, values)):
            told.append(Fault(("per_row", name), "a value is blank"))
    count = 1
    for values in file.per_row.values():
        count *= values if isinstance(values, int) else len(values)
    if count > MOST_UNITS:
        told.append(Fault(("per_row",), f"it makes {count:,} output rows of each row; at most are {MOST_UNITS:,}"))
    return told
