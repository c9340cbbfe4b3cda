"""A contract says quickly whether a table keeps it, as pandera would, and else names row, column, rule and value."""

import pickle
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandera.errors import SchemaErrors

from blocks.contracts.broken import FAULTS_KEPT, ContractBroken
from blocks.contracts.check import check, faults_in, keeps
from blocks.contracts.registry import MODELS, Contract, contract
from blocks.contracts.table import flags, in_chunks, numbers, texts, wholes
from tests.blocks.contracts.clean import changed, clean

ODD = [None, "", " ", "x", -1, 0, 1, 2, 0.5, -0.5, 1e9, float("nan"), float("inf"), True, 10**30]


def caught(name: str | Contract, table: dict[str, Any], **how: Any) -> ContractBroken:
    with pytest.raises(ContractBroken) as error:
        check(name, table, **how)
    return error.value


def as_pandera_says(name: str, table: dict[str, Any]) -> bool:
    """Whether pandera itself takes the table."""
    try:
        contract(name).schema.validate(
            pd.DataFrame({column: pd.Series(values, dtype=values.dtype) for column, values in table.items()}), lazy=True
        )
    except SchemaErrors:
        return False
    return True


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(MODELS)), st.integers(0, 10**6), st.sampled_from(ODD), st.randoms(use_true_random=False))
def test_the_quick_look_agrees_with_pandera(name: str, seed: int, odd: Any, chance: random.Random) -> None:
    table = clean(name, seed)
    column = chance.choice(sorted(table))
    place = chance.randrange(len(table[column]))
    values = table[column].tolist()
    values[place] = odd
    make = {"float64": numbers, "int64": wholes, "object": texts}[str(table[column].dtype)]
    table[column] = make(values)
    assert keeps(contract(name), table) == as_pandera_says(name, table) == (not faults_in(contract(name), table))


def test_the_message_names_table_row_column_rule_value_and_the_fix() -> None:
    table = changed(clean("swarm answers", 1), "cost_usd", 4, -0.25)
    error = caught("swarm answers", table, what="out.jsonl", rows=lambda: [f"{at + 100}" for at in range(99)])
    assert error.message == (
        "out.jsonl: 1 fault against the contract 'swarm answers':"
        " row 104, column cost_usd: must be at least 0, found -0.25"
    )
    assert error.fix == contract("swarm answers").fix
    assert error.code == "CONTRACT_BROKEN"
    again: ContractBroken = pickle.loads(pickle.dumps(error))
    assert (again.message, again.details) == (error.message, error.details)


def test_the_first_faults_are_named_in_order_of_rows_and_all_are_counted() -> None:
    table = clean("calls", 3)
    table["latency_ms"] = np.full(len(table["id"]), -1.0)
    table = changed(table, "model", 2, None)
    error = caught("calls", table)
    count = len(table["id"]) + 1
    assert f"{count} faults" in error.message
    assert f"and {count - 3} more" in error.message
    assert error.details["count"] == count
    assert len(error.details["faults"]) == min(count, FAULTS_KEPT)
    assert error.message.index("row 0") < error.message.index("row 1") < error.message.index("row 2")


def test_values_are_told_short_plain_and_without_secrets() -> None:
    secret = "sk-" + "proj-" + "A1b2C3d4" * 6
    for told, hidden in ((f"api_key={secret}", secret), ("x" * 500, "x" * 100), ("a\x1b[31m\u202eb", "\x1b")):
        error = caught("calls", changed(clean("calls", 1), "outcome", 1, told))
        assert hidden not in error.message + str(error.details)
        assert "row 1, column outcome: must be one of 'ok', 'cached'" in error.message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda table: table.pop("text"), "column text: must be there, found no such column"),
        (lambda table: table.update(mood=table["text"]), "column mood: must not be there"),
        (
            lambda table: table.update(start_s=texts(["soon"] * len(table["text"]))),
            "row 0, column start_s: must be a num",
        ),
        (
            lambda table: table.update(start_s=table["start_s"].astype("int64")),
            "column start_s: must be a number, found a",
        ),
        (lambda table: table.update(text=table["start_s"]), "row 0, column text: must be a text"),
        (lambda table: table.update(text=table["text"][:5]), "must be as long as the others"),
    ],
)
def test_columns_that_lack_are_too_many_or_of_another_kind_are_named(change: Any, told: str) -> None:
    table = clean("segments", 1)
    change(table)
    error = caught("segments", table)
    assert told in error.message
    assert "cannot be compared" not in error.message


def test_what_the_quick_look_does_not_know_pandera_decides() -> None:
    odd = pa.DataFrameSchema({"a": pa.Column("int64", pa.Check.str_startswith("x"), coerce=True)}, strict=True)
    even = pa.DataFrameSchema({"a": pa.Column("int64", pa.Check.notin([3]))}, strict=True)
    for schema in (odd, even):
        held = Contract("own", "A row.", schema, stands="here", fix="none")
        assert not keeps(held, {"a": wholes([1, 2])})
    check(Contract("own", "A row.", even, stands="here", fix="none"), {"a": wholes([1, 2])})
    assert (
        "column a" in caught(Contract("own", "A row.", odd, stands="here", fix="none"), {"a": wholes([1, 2])}).message
    )


def test_an_empty_table_keeps_every_contract() -> None:
    for name in MODELS:
        check(name, {column: values[:0] for column, values in clean(name, 1).items()})


def test_columns_are_made_without_changing_what_is_in_them() -> None:
    assert numbers([1, 2.5, None]).tolist()[:2] == [1.0, 2.5]
    for made, kept in (
        (numbers(["1.5", 2]), ["1.5", 2]),
        (numbers([True, 2.0]), [True, 2.0]),
        (numbers([10**400]), [10**400]),
        (wholes([1.5, 2]), [1.5, 2]),
        (wholes([2**70]), [2**70]),
        (wholes([True]), [True]),
        (flags([1, True, "x"]), ["1", 1.0, "x"]),
    ):
        assert made.dtype == object
        assert made.tolist() == kept
    assert flags([True, False]).tolist() == [1.0, 0.0]
    assert np.isnan(flags([None])).all()
    assert list(in_chunks(range(5), 2)) == [[0, 1], [2, 3], [4]]


def test_contracts_are_imported_without_pandas() -> None:
    names = "blocks.contracts.check, blocks.contracts.transcripts, blocks.contracts.metrics, blocks.accounts.checked"
    asked = f"import sys, {names}; print(sorted({{'pandas', 'pandera', 'numpy'}} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
