"""YAML that people write: every fault with its line and what belongs there, never a value."""

import traceback
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter

from blocks.errors import BadInput, NotFound
from blocks.model import Frozen
from blocks.yaml_file import MOST_TOLD, parse_yaml, read_yaml


class Engine(Frozen):
    power_kw: int = Field(gt=0)
    fuel: str | None = None


class Car(Frozen):
    name: str
    engine: Engine | None = None
    wheels: tuple[int, ...] = ()
    spare: dict[str, Engine] = Field(default_factory=dict)


CAR = TypeAdapter(Car)
ANY: TypeAdapter[Any] = TypeAdapter(Any)


def wrong(text: str, form: TypeAdapter[Any] = CAR) -> BadInput:
    with pytest.raises(BadInput) as caught:
        parse_yaml(text, "car.yaml", fix="correct it").read_as(form)
    return caught.value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: a\nnmae: b", "car.yaml:2: nmae: there is no such field; did you mean name? (known are name, engine,"),
        (
            "name: a\nengine:\n  power_kw: 1\n  Fule: x",
            "car.yaml:4: engine.Fule: .*mean fuel. .known are power_kw, fuel",
        ),
        ("name: a\nspare:\n  one: {power: 1}", "car.yaml:3: spare.one.power: .*did you mean power_kw"),
        ("name: a\nwheels: 4", "car.yaml:2: wheels: here belongs a list"),
        ("name: a\nengine: 4", "car.yaml:2: engine: here belongs a mapping"),
        ("name: a\nengine: {power_kw: -4}", "car.yaml:2: engine.power_kw: it must be more than 0"),
        ("name: 2024-01-01", "car.yaml:1: name: here belongs a text"),
        ("engine: {power_kw: 1}", "car.yaml:1: name: it is missing"),
        ("", "car.yaml:1: file: here belongs a mapping"),
        ("name: a\nname: b", "car.yaml:2: name: it stands here and in line 1;"),
        ("{name: a, name: b}", "car.yaml:1: name: it stands here and in line 1;"),
        ("name: a\nspare:\n  one: {power_kw: 1}\n  one: {power_kw: 1}", "car.yaml:4: spare.one: it stands here and in"),
        ("name: 2024-02-30", "car.yaml:1: it is no YAML: the value is not what it looks like"),
        ("name: " + "1:" * 250 + "0.5", "car.yaml:1: it is no YAML: the value is not what it looks like"),
        ("name: !!int x", "car.yaml:1: it is no YAML: the value is not"),
        ("name: a\nfuel: \x07", "car.yaml:2: it is no YAML: it has a character"),
        ("name: a\nx: " + "[" * 5000, "car.yaml:1: it is nested too deep"),
        ("name: a\n\tfuel: b", "car.yaml:2: it is no YAML"),
        ("{name: a?}", "car.yaml:1: it is no YAML: expected ',' or '}', but got '?'"),
    ],
)
def test_a_fault_is_told_with_its_line_and_what_belongs_there(text: str, told: str) -> None:
    import re

    said = wrong(text).message
    assert told in said or re.match(told, said), said


def test_all_faults_are_in_the_message_a_line_each_and_ten_at_most() -> None:
    error = wrong("name: 1\nengine: {power_kw: 0}\nfool: 1")
    assert [line.split(": ")[0] for line in error.message.splitlines()] == ["car.yaml:1", "car.yaml:2", "car.yaml:3"]
    many = wrong("name: a\n" + "\n".join(f"x{number}: 1" for number in range(15)))
    assert len(many.message.splitlines()) == MOST_TOLD + 1
    assert many.message.endswith("\nand 5 more")
    assert (len(many.details["problems"]), many.details["line"]) == (15, 2)


@pytest.mark.parametrize(
    "text",
    [
        "name: [SECRET123]",
        "{name: a, key:SECRET123-4567}",
        "name: *SECRET123",
        "name: !SECRET123 x",
        "name: SECRET123: x",
    ],
)
def test_what_was_written_is_not_repeated(text: str) -> None:
    error = wrong(text)
    assert "SECRET123" not in error.message
    chain = "".join(traceback.format_exception(error))
    assert "SECRET123" not in chain
    assert error.__context__ is None


def test_one_thing_under_two_names_is_no_repetition() -> None:
    text = "base: &base {power_kw: 1, fuel: gas}\nname: a\nengine:\n  <<: *base\n  fuel: oil\n"
    read = parse_yaml(text, "car.yaml", fix="").read_as(ANY)
    assert read["engine"] == {"power_kw": 1, "fuel": "oil"}


def test_references_to_references_are_looked_at_once() -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 40))
    assert parse_yaml(f"l0: &l0 [x]\n{levels}", "car.yaml", fix="").content["l0"] == ["x"]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("a: 1\nb: café".encode("latin-1"))
    with pytest.raises(BadInput, match=r"latin\.yaml:2: it is no UTF-8 text"):
        read_yaml(tmp_path / "latin.yaml", fix="")
    with pytest.raises(NotFound, match="no file"):
        read_yaml(tmp_path / "none.yaml", fix="")
    with pytest.raises(BadInput, match="cannot be read: it is a folder") as caught:
        read_yaml(tmp_path, fix="")
    assert caught.value.fix == "name a file"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_no_fault_is_read_as_pyyaml_does(value: Any) -> None:
    text = yaml.safe_dump(value, allow_unicode=True)
    assert parse_yaml(text, "x.yaml", fix="").content == yaml.safe_load(text)


@given(st.text(max_size=60) | st.text("{}[]:,-&*!|>'\" \n#ab1", max_size=60))
def test_any_text_is_read_or_refused_as_bad_input(text: str) -> None:
    try:
        parse_yaml(text, "x.yaml", fix="f").read_as(CAR)
    except BadInput as error:
        assert all(line.startswith("x.yaml:") for line in error.details["problems"])
