"""Datasets, files of outputs and configurations that people write: what is wrong is told with file and line."""

from pathlib import Path

import pytest

from blocks.errors import BadInput, C500Error, NotFound, Unsupported
from blocks.settings import settings
from tasks.evaluation.case import Case
from tasks.evaluation.dataset import read_dataset
from tasks.evaluation.output import read_outputs
from tasks.evaluation.system import System, in_force, read_system, system_of
from tests.conftest import ROOT

DEMO = ROOT / "deployments" / "demo" / "evaluation" / "dataset.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a recording, a text and labels in it."""
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    (tmp_path / "said.txt").write_text("xin chào")
    (tmp_path / "a.rttm").write_text("SPEAKER a 1 0 1.5 <NA> <NA> An <NA> <NA>\n")
    return tmp_path


def test_the_three_formats_say_the_same(folder: Path) -> None:
    (folder / "d.jsonl").write_text(
        '{"id": "one", "audio": "a.wav", "reference": "hi Anna", "words": [[0, 0.5, "hi"], [0.5, 1, "Anna"]]}\n\n'
        '{"id": "two", "text": "Hello.", "expected": {"title": "Hello"}, "language": "en"}\n'
    )
    (folder / "d.csv").write_text(
        "id,audio,reference,words,text,expected.title,language\n"
        'one,a.wav,hi Anna,"[[0, 0.5, ""hi""], [0.5, 1, ""Anna""]]",,,\n'
        "two,,,,Hello.,Hello,en\n"
    )
    (folder / "d.yaml").write_text(
        "cases:\n"
        "  - {id: one, audio: a.wav, reference: hi Anna, words: [[0, 0.5, hi], [0.5, 1, Anna]]}\n"
        "  - id: two\n    text: Hello.\n    expected: {title: Hello}\n    language: en\n"
    )
    read = [read_dataset(folder / f"d.{ending}") for ending in ("jsonl", "csv", "yaml")]
    assert read[0].cases == read[1].cases == read[2].cases
    assert read[0].cases[0].words[1].end_s == 1
    assert read[0].cases[1].expected == {"title": "Hello"}


def test_labels_may_lie_in_files_beside(folder: Path) -> None:
    (folder / "d.yaml").write_text(
        "language: vi\ncases:\n- {audio: a.wav, reference_file: said.txt, rttm: a.rttm}\n- {text_file: said.txt}\n"
    )
    first, second = read_dataset(folder / "d.yaml").cases
    assert (first.id, first.reference, first.language) == ("1", "xin chào", "vi")
    assert first.turns is not None
    assert first.turns[0].speaker == "An"
    assert (second.text, second.id) == ("xin chào", "2")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("d.jsonl", '{"audio": "a.wav", "reference": "x"}\n{"audio": \n', r"d\.jsonl:2: it is no JSON"),
        ("d.jsonl", '{"audio": "a.wav"}\n', r"d\.jsonl:1: .*nothing says what is right"),
        ("d.jsonl", '\n{"reference": "x"}\n', r"d\.jsonl:2: .*give one of audio, text and text_file, not none"),
        ("d.jsonl", '{"audio": "b.wav", "reference": "x"}\n', r"d\.jsonl:1: audio: there is no file .*b\.wav"),
        ("d.jsonl", '{"audio": "a.wav", "referense": "x"}\n', r"d\.jsonl:1: referense: .*did you mean reference"),
        ("d.jsonl", '{"id": "x", "text": "y"}\n{"id": "x", "text": "z"}\n', r"d\.jsonl:2: id: x is the case of line 1"),
        ("d.jsonl", '{"audio": "a.wav", "words": [[1, 0.5, "x"]]}\n', r"d\.jsonl:1: words\.0: it ends at 0\.5 s"),
        (
            "d.jsonl",
            '{"audio": "a.wav", "start_s": 2, "end_s": 1, "reference": ""}\n',
            r"d\.jsonl:1: end_s must be after",
        ),
        ("d.jsonl", '{"text": "x", "rttm": "a.rttm"}\n', r"d\.jsonl:1: .*rttm is of recordings"),
        ("d.csv", "id,text\n1,x\n2\n", r"d\.csv:3: it has 1 cells"),
        ("d.csv", 'id,text,expected\n1,"a\nb",{\n', r"d\.csv:2: expected: it is no JSON"),
        ("d.csv", "id,text,words\n1,x,\n2,y,[]]\n", r"d\.csv:3: words: it is no JSON"),
        ("d.yaml", "cases:\n- text: x\n- text: y\n  languag: en\n", r"d\.yaml:4: languag: .*did you mean language"),
        ("d.yaml", "- text: x\n  match: {title: fuzzy}\n", r"d\.yaml:2: match\.title: here belongs"),
        ("d.yaml", "case:\n- text: x\n", r"d\.yaml:1: here belongs a list of records"),
        ("d.yaml", "- audio: a.wav\n  rttm: said.txt\n  turns: []\n", r"d\.yaml:1: .*give turns or rttm"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(folder: Path, name: str, content: str, told: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(BadInput, match=told):
        read_dataset(folder / name)


def test_all_faults_are_told_at_once(folder: Path) -> None:
    (folder / "d.jsonl").write_text('{"audio": 1}\n{"id": "two"}\n')
    with pytest.raises(BadInput) as told:
        read_dataset(folder / "d.jsonl")
    assert len(told.value.details["problems"]) >= 2


@pytest.mark.parametrize(
    ("name", "error"), [("none.jsonl", NotFound), ("d.txt", Unsupported), ("empty.jsonl", BadInput)]
)
def test_files_that_cannot_be_read_are_refused(folder: Path, name: str, error: type[C500Error]) -> None:
    (folder / "empty.jsonl").write_text("\n")
    with pytest.raises(error):
        read_dataset(folder / name)


def test_dates_beside_the_list_are_texts_too(folder: Path) -> None:
    (folder / "d.yaml").write_text("expected: {due: 2025-03-20}\ncases: [{text: x}]\n")
    assert read_dataset(folder / "d.yaml").cases[0].expected == {"due": "2025-03-20"}


def test_some_cases_may_be_chosen(folder: Path) -> None:
    (folder / "d.jsonl").write_text('{"id": "one", "text": "x"}\n{"id": "two", "text": "y"}\n')
    assert [case.id for case in read_dataset(folder / "d.jsonl", ("two",)).cases] == ["two"]
    with pytest.raises(BadInput, match="has no case three"):
        read_dataset(folder / "d.jsonl", ("three",))


def test_outputs_are_read_and_what_is_wrong_is_told(folder: Path) -> None:
    cases = (Case(id="one", text="x"),)
    (folder / "o.jsonl").write_text(
        '{"id": "one", "text": "y", "summary": {"title": "z"}}\n{"id": "more", "text": ""}\n'
    )
    found = read_outputs(folder / "o.jsonl", cases)
    assert found["one"].summary == {"title": "z"}
    for content, told in (
        ('{"id": "one"}\n{"id": "one"}\n', r"o\.jsonl:2: id: one stands here a second time"),
        ('{"id": "two"}\n', "none of its ids"),
        ('{"text": "y"}\n', r"o\.jsonl:1: id: it is missing"),
    ):
        (folder / "o.jsonl").write_text(content)
        with pytest.raises(BadInput, match=told):
            read_outputs(folder / "o.jsonl", cases)


def test_a_configuration_is_pairs_or_a_file(tmp_path: Path) -> None:
    pairs = read_system("engine=sphinx,hints=Huế, Đà Nẵng,WHISPER_BEAM_SIZE=1,text=enhanced")
    assert pairs.options == {"engine": "sphinx", "hints": ["Huế", "Đà Nẵng"]}
    assert (pairs.settings, pairs.text) == ({"WHISPER_BEAM_SIZE": "1"}, "enhanced")
    assert read_system("old.ndjson").hypotheses is not None
    (tmp_path / "new.yaml").write_text("options: {engine: sphinx}\nsettings: {WHISPER_BEAM_SIZE: '1'}\n")
    assert read_system(str(tmp_path / "new.yaml")).label == "new"
    assert read_system(str(tmp_path / "old.jsonl")).hypotheses == str(tmp_path / "old.jsonl")


@pytest.mark.parametrize(
    "given", ["engin=sphinx", "speakers=many", "AUDIO_DIR=/tmp", "OPENAI_SPEECH_API_KEY=x", "text=all", "sphinx"]
)
def test_what_is_no_configuration_is_refused(given: str) -> None:
    with pytest.raises(BadInput):
        read_system(given)


def test_settings_hold_within_and_are_as_before_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISPER_BEAM_SIZE", "3")
    settings.cache_clear()
    with in_force({"WHISPER_BEAM_SIZE": "1", "VAD_THRESHOLD": "0.6"}):
        assert (settings().whisper_beam_size, settings().vad_threshold) == (1, 0.6)
    assert (settings().whisper_beam_size, settings().vad_threshold) == (3, 0.5)
    with pytest.raises(BadInput), in_force({"WHISPER_BEAM_SIZE": "wide"}):
        pass
    assert settings().whisper_beam_size == 3


def test_no_more_is_done_than_is_measured() -> None:
    heard, told = (
        Case(id="1", audio="a.wav", reference="x"),
        Case(id="2", text="x", template="interview", language="en"),
    )
    assert System().options_for(heard).features == ("raw_transcript",)
    assert "summary" in System().options_for(told).features
    assert (System().options_for(told).template, System().options_for(told).language) == ("interview", "en")
    assert system_of({"template": "other"}).options_for(told).template == "other"


def test_the_bundled_dataset_is_whole() -> None:
    read = read_dataset(DEMO)
    assert len(read.cases) == 15
    assert sum(len(case.words) for case in read.cases) == 150
    for case in read.cases:
        assert all(one.end_s <= two.start_s + 1e-6 for one, two in zip(case.words, case.words[1:], strict=False))
