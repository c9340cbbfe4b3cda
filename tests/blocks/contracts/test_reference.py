"""The page of contracts is what the models say, and the history of metrics has what its contracts ask for."""

from pathlib import Path

import blocks
from blocks.contracts.metrics import check_metrics
from blocks.contracts.reference import BEGIN, reference
from blocks.contracts.registry import MODELS, contract
from tasks.quality.audit.history import PeriodRow
from tasks.quality.audit.job_row import JobRow

ROOT = Path(blocks.__path__[0]).parent


def test_the_page_is_what_the_models_say() -> None:
    page = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8")
    assert BEGIN + page.partition(BEGIN)[2] == reference(), "take what python -m blocks.contracts.reference prints"


def test_every_contract_says_what_a_row_is_and_each_column_what_it_holds() -> None:
    for name in MODELS:
        held = contract(name)
        assert held.about.endswith(".")
        assert all(column.description for column in held.schema.columns.values())
        for place in held.stands.split("`")[1::2]:
            assert (ROOT / place).is_file(), place


def test_the_rows_of_audits_have_what_the_contracts_of_the_history_ask_for() -> None:
    assert set(contract("job metrics").schema.columns) <= JobRow.model_fields.keys()
    assert set(contract("period metrics").schema.columns) <= PeriodRow.model_fields.keys()
    check_metrics("job metrics", [])
    check_metrics("period metrics", [])
