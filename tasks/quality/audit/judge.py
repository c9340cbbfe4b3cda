"""Tables held against suites of great-expectations, which takes 3 s to import: only within the functions here.

Nothing of it reaches the network: the context is in memory, its analytics are off, its cloud is not asked for.
"""

import logging
import os
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from string import Template
from typing import TYPE_CHECKING, Any, get_args

from blocks.errors import Unsupported
from blocks.model import Frozen
from tasks.quality.audit.judged import MOST_SAMPLES, Judged, JudgedSuite, Sample
from tasks.quality.audit.suite_files import KEYS, TABLES, Expected, Suite, TableName

if TYPE_CHECKING:
    import pandas as pd

SILENT = {"GX_ANALYTICS_ENABLED": "false"}
PASSED_THROUGH = re.compile(r"PassThrough\('(.*?)'\)")
WORD_STARTS = re.compile(r"(?<!^)(?=[A-Z])")

FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": MOST_SAMPLES}
"""What is wanted of a result: counts, and the first rows; not all of them."""


def check(suites: Sequence[Suite]) -> None:
    """Look at types and arguments of all expectations.

    Raises:
        BadInput: one is wrong; the message has file and line.
        Unsupported: great-expectations is not installed.
    """
    with _great_expectations():
        for suite in suites:
            for expected in suite.expectations:
                _made(expected)


def judge(suites: Sequence[Suite], tables: Mapping[TableName, Sequence[Frozen]]) -> tuple[JudgedSuite, ...]:
    """Hold tables against suites.

    Args:
        suites: See `read_suites`.
        tables: Rows by the name of their table.

    Raises:
        BadInput: an expectation is wrong; the message has file and line.
        Unsupported: great-expectations is not installed.
    """
    with _great_expectations() as gx:
        context = _context(gx)
        frames = {name: _frame(name, rows) for name, rows in tables.items()}
        source = context.data_sources.add_pandas("store")
        judged: list[JudgedSuite] = []
        for suite in suites:
            frame = frames[suite.table]
            asset = source.add_dataframe_asset(suite.name)
            batch = asset.add_batch_definition_whole_dataframe("period").get_batch({"dataframe": frame})
            judged.append(_judge_suite(gx, suite, frame, batch))
        return tuple(judged)


@contextmanager
def _great_expectations() -> Generator[Any]:
    os.environ.update(SILENT)
    try:
        import great_expectations as gx

        import_module("great_expectations.expectations")  # registers the types
    except ImportError as error:
        raise Unsupported("audits need great-expectations", fix="pip install 'c500[quality]'") from error
    log = logging.getLogger("great_expectations")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield gx
    finally:
        log.setLevel(before)


def _context(gx: Any) -> Any:
    """A context in memory, which prints no progress and makes no folder for a site of its own."""
    from great_expectations.data_context.types import base

    config = base.DataContextConfig(
        store_backend_defaults=base.InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        progress_bars=base.ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _judge_suite(gx: Any, suite: Suite, frame: "pd.DataFrame", batch: Any) -> JudgedSuite:
    """Judge what has rows enough; the rest is told with the reason."""
    whole = gx.ExpectationSuite(name=suite.name)
    judged: dict[str, Judged] = {}
    counts: dict[str, int] = {}
    for expected in suite.expectations:
        made = _made(expected)
        counts[expected.id] = _rows_with_value(frame, expected)
        if counts[expected.id] < expected.at_least:
            told = f"{counts[expected.id]:,} rows have a value; it is judged from {expected.at_least} on"
            told = told if len(frame) else "there are no rows"
            judged[expected.id] = _judged(suite, expected, "not_judged", says=_words(made), why=told)
        else:
            whole.add_expectation(made)
    key = KEYS[suite.table]
    results: Any = batch.validate(whole, result_format=FORMAT | {"unexpected_index_column_names": [key]}).results
    by_id = {expected.id: expected for expected in suite.expectations}
    for result in results:
        expected = by_id[result.expectation_config.meta["id"]]
        judged[expected.id] = _of_result(suite, expected, result, counts[expected.id])
    ordered = tuple(judged[expected.id] for expected in suite.expectations)
    return JudgedSuite(name=suite.name, table=suite.table, title=suite.title, rows=len(frame), expectations=ordered)


def _made(expected: Expected) -> Any:
    """The expectation as an object of great-expectations; what is wrong with it is told with its line."""
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.registry import get_expectation_impl

    try:
        kind: Any = get_expectation_impl(_type_name(expected.expect))
    except ExpectationNotFoundError:
        raise expected.wrong(_no_such_type(expected.expect), "expect") from None
    arguments = dict(expected.arguments)
    if isinstance(arguments.get("row_condition"), str):
        arguments.setdefault("condition_parser", "pandas")
    try:
        return kind(**arguments, severity=expected.severity, meta={"id": expected.id})
    except (ValueError, TypeError) as error:  # pydantic's ValidationError, of its version 1, is a ValueError
        faults: Any = getattr(error, "errors", list)() or [{"loc": (), "msg": str(error)}]
        place, what = str((*faults[0]["loc"], "")[0]), str(faults[0]["msg"])
        named = place if place in expected.arguments else ""
        told = what if named or place in ("", "__root__") else f"{place}: {what}"
        raise expected.wrong(told, *filter(None, [named])) from None


def _type_name(given: str) -> str:
    """The type as the registry has it, from any of its forms."""
    name = WORD_STARTS.sub("_", given).lower() if given[:1].isupper() else given
    return name if name.startswith("expect_") else f"expect_{name}"


def _no_such_type(given: str) -> str:
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    known: list[str] = [str(name).removeprefix("expect_") for name in list_registered_expectation_implementations()]
    meant = get_close_matches(_type_name(given).removeprefix("expect_"), known, n=1)
    hint = f"; did you mean {meant[0]}?" if meant else ""
    return f"great-expectations has no {given!r:.80}{hint}"


def _frame(name: TableName, rows: Sequence[Frozen]) -> "pd.DataFrame":
    """A table as a frame, its columns typed by the rows' model: also without rows, and where all is empty."""
    import pandas as pd

    columns: dict[str, Any] = {}
    for column, field in TABLES[name].model_fields.items():
        kinds = {kind for kind in (*get_args(field.annotation), field.annotation) if kind in (int, float)}
        values = [getattr(row, column) for row in rows]
        columns[column] = pd.Series(values, dtype="float64" if kinds else "object")
    return pd.DataFrame(columns)


def _rows_with_value(frame: "pd.DataFrame", expected: Expected) -> int:
    condition = expected.arguments.get("row_condition")
    try:
        rows: Any = frame.query(condition) if isinstance(condition, str) else frame
    except Exception as error:  # noqa: BLE001 - whatever an expression of somebody's may raise
        raise expected.wrong(f"{type(error).__name__}: {error}"[:300], "row_condition") from None
    columns = [name for name in expected.columns if name in frame.columns]
    return len(rows[columns].dropna()) if columns else len(rows)


def _of_result(suite: Suite, expected: Expected, result: Any, rows: int) -> Judged:
    found: dict[str, Any] = result.result or {}
    says = _words(result)
    if broken := _exception(result.exception_info):
        return _judged(suite, expected, "broken", says=says, why=broken, rows=rows)
    unexpected = found.get("unexpected_count")
    return _judged(
        suite,
        expected,
        "passed" if result.success else "failed",
        says=says,
        rows=rows,
        unexpected=unexpected,
        observed=_observed(found, rows),
        samples=() if result.success else _samples(found, KEYS[suite.table]),
    )


def _judged(suite: Suite, expected: Expected, outcome: Any, **facts: Any) -> Judged:
    return Judged(
        suite=suite.name,
        id=expected.id,
        column=", ".join(expected.columns),
        about=expected.about,
        source=expected.source,
        severity=expected.severity,
        where=expected.where,
        outcome=outcome,
        **facts,
    )


def _exception(info: Mapping[str, Any]) -> str:
    """What an expectation raised: it says so at the top, or for each of its metrics."""
    told = [info] if "raised_exception" in info else list(info.values())
    messages = [str(one.get("exception_message") or "") for one in told if one.get("raised_exception")]
    return messages[0].splitlines()[0][:300] if messages and messages[0] else "it raised an error" if messages else ""


def _observed(found: Mapping[str, Any], rows: int) -> str:
    if (unexpected := found.get("unexpected_count")) is not None:
        return f"{unexpected:,} of {rows:,} ({unexpected / rows:.1%}) not met" if unexpected else f"all {rows:,} met"
    return _shown(found.get("observed_value"))


def _samples(found: Mapping[str, Any], key: str) -> tuple[Sample, ...]:
    samples: list[Sample] = []
    for one in found.get("partial_unexpected_index_list") or ():
        values = ", ".join(_shown(value) for name, value in one.items() if name != key)
        samples.append(Sample(key=_shown(one.get(key)), value=values))
    return tuple(samples[:MOST_SAMPLES])


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:200]


def _words(made: Any) -> str:
    """What an expectation asks for, as great-expectations says it."""
    from great_expectations.render.renderer.inline_renderer import InlineRenderer

    config = getattr(made, "expectation_config", None) or made.configuration
    for block in InlineRenderer(render_object=config).get_rendered_content():
        content: dict[str, Any] = block.value.to_json_dict()
        given: dict[str, dict[str, Any]] = content.get("params") or {}
        params = {name: _param(value) for name, value in given.items()}
        if template := content.get("template"):
            return PASSED_THROUGH.sub(r"\1", Template(template).safe_substitute(params))
    return str(config.type)


def _param(value: Mapping[str, Any]) -> str:
    shown = value.get("value")
    return f"{shown:g}" if isinstance(shown, float) else str(shown)
