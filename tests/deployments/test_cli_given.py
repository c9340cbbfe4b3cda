"""What people give commands, and what commands print: the same for all of them."""

import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, model_validator

from blocks.errors import BadInput, Conflict
from blocks.model import Frozen
from deployments.cli.given import json_object, json_or_text, made_of, text_of, text_or_stdin, whole_id
from deployments.cli.output import echo_json, local_time
from deployments.cli.service_store import service_store
from deployments.service import home
from deployments.service.home import Running


class Asked(Frozen):
    deadline_s: float = Field(default=1, gt=0)
    at_once: int = 1

    @model_validator(mode="after")
    def _fits(self) -> "Asked":
        if self.at_once == 13:
            raise ValueError("not 13")
        return self


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"deadline_s": -1}, "--deadline", "--deadline is -1: "),
        ({"at_once": "x" * 999}, "--at-once", "--at-once is 'xxx"),
        ({"at_once": 13}, None, "not 13"),
    ],
)
def test_a_wrong_option_is_named_as_it_was_given(fields: dict[str, Any], field: str | None, says: str) -> None:
    with pytest.raises(BadInput) as wrong:
        made_of(Asked, fields, fix="give another", options={"deadline_s": "deadline"})
    assert wrong.value.message.startswith(says)
    assert len(wrong.value.message) < 250
    assert wrong.value.details.get("field") == field
    assert made_of(Asked, {"at_once": 2}, fix="").at_once == 2


def test_texts_come_from_files_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("xin chào")
    (tmp_path / "b").write_bytes(b"\xff")
    assert (text_of(tmp_path / "a", "--file"), text_or_stdin("as it is")) == ("xin chào", "as it is")
    for wrong, told in (("b", "cannot be read as text"), ("none", "there is no file")):
        with pytest.raises(BadInput, match=told):
            text_of(tmp_path / wrong, "--file")
    monkeypatch.setattr(sys, "stdin", io.StringIO("typed"))
    assert text_of(Path("-"), "--file") == "typed"
    monkeypatch.setattr(sys, "stdin", io.StringIO("typed"))
    assert text_or_stdin("-") == "typed"


def test_values_are_json_where_they_are_some() -> None:
    assert (json_or_text("[1]"), json_or_text("[1"), json_object('{"a": 1}', "--edit")) == ([1], "[1", {"a": 1})
    for wrong in ("{", "[1]"):
        with pytest.raises(BadInput) as caught:
            json_object(wrong, "--edit")
        assert caught.value.details["field"] == "--edit"


def test_the_beginning_of_an_id_is_enough_where_it_is_one() -> None:
    ids = ["abc", "abd", "xyz"]
    assert [whole_id(given, ids) for given in ("abc", "x", "nothing", "")] == ["abc", "xyz", "nothing", ""]
    with pytest.raises(BadInput, match="2 ids begin with ab"):
        whole_id("ab", ids)


def test_models_moments_and_halves_of_characters_are_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    echo_json([Asked(), datetime(2026, 1, 2, tzinfo=UTC), {"tên": "chào \ud800"}])
    printed = capsys.readouterr().out
    assert "chào \\ud800" in printed
    model, moment, text = json.loads(printed)
    assert (model, text) == ({"deadline_s": 1.0, "at_once": 1}, {"tên": "chào \ud800"})
    assert datetime.fromisoformat(moment) == datetime(2026, 1, 2, tzinfo=UTC)


def test_moments_are_shown_by_the_clock_on_the_wall() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 59, tzinfo=UTC)
    assert datetime.fromisoformat(local_time(moment)).astimezone(UTC) == moment.replace(second=0)


def test_another_store_than_that_of_the_service_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert service_store()
    running = Running.model_construct(store="s3://elsewhere")
    monkeypatch.setattr(home, "read_running", lambda: running)
    with pytest.raises(Conflict, match="s3://elsewhere"):
        service_store()
