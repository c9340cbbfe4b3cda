"""What an analysis of logs finds."""

import gzip
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

import deployments.cli.logs  # noqa: F401 - registers the command
from blocks.errors import BadInput, C500Error, NotFound
from blocks.store import open_store
from deployments.cli import app
from tasks.ops.logs.report import markdown
from tests.tasks.ops.logs.conftest import Analyse
from tests.tasks.ops.logs.logging_service import BEGIN, KINDS, text

MANY = 12_000
"""Ten minutes."""

LATER = BEGIN + timedelta(minutes=10)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "web.log"
    path.write_text(text(MANY))
    return path


async def test_a_usual_log_has_its_templates_and_nothing_new(log: Path, analysed: Analyse) -> None:
    report = await analysed(log)
    assert report.templates == len(KINDS)
    assert (report.new, report.spiking, report.bursts) == ((), (), ())
    assert report.lines + report.base_lines == MANY
    assert report.base_lines == pytest.approx(MANY / 4, rel=0.05)
    assert sum(report.levels.values()) == report.lines
    assert report.most[0].template == "INFO api.http GET /v<num>/orders/<num> <num> <num>ms"


async def test_new_and_spiking_templates_and_bursts_are_found(log: Path, analysed: Analyse) -> None:
    wrong = [
        f"2026-11-22T08:11:{second:02d}.000Z ERROR db.query timeout after {number} ms on table orders"
        for second in range(50)
        for number in range(20)
    ]
    wrong.insert(500, "2026-11-22T08:11:25.000Z FATAL db.primary disk sda1 is full, 0 bytes left")
    log.write_text(text(MANY) + "".join(f"{line}\n" for line in wrong) + text(MANY, seed=2, begin=LATER))
    report = await analysed(log)
    assert [(one.level, one.count) for one in report.new] == [("fatal", 1)]
    sample = report.new[0].samples[0]
    assert "disk sda1 is full, 0 bytes left" in sample.text
    assert len(sample.before) == len(sample.after) == 3
    assert sample.text == log.read_text().splitlines()[sample.line - 1]
    assert [one.template for one in report.spiking] == ["ERROR db.query timeout after <num> ms on table orders"]
    assert report.spiking[0].peak_at == "2026-11-22 08:11:00"
    assert [(one.start, one.end) for one in report.bursts] == [("2026-11-22 08:11:00", "2026-11-22 08:12:00")]
    assert report.bursts[0].errors >= 1001
    assert "timeout after" in report.bursts[0].templates[0]
    shown = markdown(report)
    assert "## New templates (1)" in shown and "Bursts of errors" in shown and "> 2026-11-22T08:11:25" in shown


@pytest.mark.parametrize("kind", [".gz", ".zst", "utf-16", "utf-32-be", "utf-8-sig", "latin-1"])
async def test_compression_and_encoding_do_not_matter(kind: str, tmp_path: Path, analysed: Analyse) -> None:
    content = text(2_000) + "2026-11-22T08:02:00Z ERROR Größe überschritten: 5 Stück\n"
    path, encoding = tmp_path / f"web.log{kind if kind.startswith('.') else ''}", None
    if kind == ".gz":
        path.write_bytes(gzip.compress(content.encode()))
    elif kind == ".zst":
        subprocess.run(["zstd", "-qo", str(path)], input=content.encode(), check=True)  # noqa: ASYNC221
    elif kind == "utf-32-be":
        path.write_bytes(b"\x00\x00\xfe\xff" + content.encode(kind))
    else:
        path.write_bytes(content.encode(kind))
        encoding = "latin-1" if kind == "latin-1" else None
    report = await analysed(path, encoding=encoding)
    assert report.lines + report.base_lines == 2_001
    assert [one.template for one in report.new] == ["ERROR Größe überschritten: <num> Stück"]
    assert report.templates == len(KINDS) + 1


async def test_lines_without_times_are_counted_by_their_number(tmp_path: Path, analysed: Analyse) -> None:
    path = tmp_path / "bare.log"
    path.write_text("all is well\n" * 40_000 + "ERROR it broke\n" * 500 + "all is well\n" * 20_000)
    report = await analysed(path)
    assert report.window == "10000 lines"
    assert [one.template for one in report.new] == ["ERROR it broke"]
    assert [(one.start, one.errors) for one in report.bursts] == [("line 40,000", 500)]


async def test_stack_traces_and_one_word_lines_do_not_make_a_template_each(tmp_path: Path, analysed: Analyse) -> None:
    path = tmp_path / "trace.log"
    trace = 'Traceback (most recent call last):\n  File "/app/x.py", line {n}, in run\nValueError: {n}\n\nok\n'
    path.write_text("".join(trace.format(n=number) for number in range(1_000)))
    report = await analysed(path, baseline_share=0)
    assert report.templates == 5
    assert report.levels["error"] == 2_000


async def test_secrets_and_markdown_of_a_log_are_inert(log: Path, analysed: Analyse) -> None:
    key = "AKIA" + "IOSFODNN7EXAMPLQ"
    with log.open("a") as stream:
        stream.write(f"2026-11-22T08:11:00Z ERROR aws key {key} password=hunter2-Xy8vB3nQ6mWz refused\n")
        stream.write(
            "2026-11-22T08:11:01Z ERROR ``` ![x](http://evil/x.png) <img src=http://evil> \x1b[31m| $(reboot)\n"
        )
    report = await analysed(log, state="web")
    assert len(report.new) == 2
    shown = markdown(report)
    for kept in (shown, report.model_dump_json(), *(_stored())):
        assert key not in kept and "hunter2" not in kept
    assert "\x1b" not in shown
    for line in shown.splitlines():
        if "evil" in line:
            assert line.lstrip().startswith(("````", "> ", "2026", "`")), line
    fences = [line.strip() for line in shown.splitlines() if line.strip() in ("````", "````text")]
    assert fences and len(fences) % 2 == 0


def _stored() -> list[str]:
    files = open_store()
    keys = list(files.list("operations/logs/"))
    assert len(keys) >= 2
    return [files.read_bytes(key).decode() for key in keys]


async def test_a_line_longer_than_memory_should_hold_is_cut(tmp_path: Path, analysed: Analyse) -> None:
    path = tmp_path / "long.log"
    path.write_bytes(b"INFO begin 1\n" + b"x" * 7_000_000 + b" y\n" + b"INFO it came to an end 1\n" * 3)
    report = await analysed(path, baseline_share=0)
    assert (report.lines, report.cut_lines) == (5, 1)
    assert "INFO it came to an end <num>" in [one.template for one in report.new]


async def test_a_damaged_file_is_read_as_far_as_it_goes(tmp_path: Path, analysed: Analyse) -> None:
    path = tmp_path / "web.log.gz"
    path.write_bytes(gzip.compress(text(20_000).encode())[:-40_000])
    report = await analysed(path)
    assert report.lines > 1_000
    assert "damaged" in report.files[0].note
    assert "damaged" in markdown(report)


async def test_too_many_templates_are_forgotten_and_it_is_told(tmp_path: Path, analysed: Analyse) -> None:
    path = tmp_path / "noise.log"
    words = "".join(f"w{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)} said\n" for n in range(5_000))
    path.write_text(words + text(2_000))
    report = await analysed(path, max_templates=20, baseline_share=0)
    assert report.templates <= 20
    assert "raise max_templates" in report.summary
    assert any("GET /v<num>" in one.template for one in report.most)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda path: None, NotFound),
        (lambda path: path.mkdir(), BadInput),
        (lambda path: __import__("os").mkfifo(path), BadInput),
    ],
)
async def test_what_is_no_log_is_refused(
    make: object, error: type[C500Error], tmp_path: Path, analysed: Analyse
) -> None:
    path = tmp_path / "what\nis $(this)"
    make(path)  # type: ignore[operator]
    with pytest.raises(error) as raised:
        await analysed(path)
    assert raised.value.details["field"] == "paths"


async def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path, analysed: Analyse) -> None:
    for name in ("a.gz",):
        (tmp_path / name).write_text("plain text\n")
        with pytest.raises(BadInput, match="no gzip"):
            await analysed(tmp_path / name)


async def test_what_is_no_text_is_refused(tmp_path: Path, analysed: Analyse) -> None:
    (tmp_path / "program").write_bytes(b"\x7fELF" + b"\0" * 100 + b"\n" * 10)
    (tmp_path / "wide.log").write_bytes("one line\n".encode("utf-16-le"))
    for name in ("program", "wide.log"):
        with pytest.raises(BadInput, match="no text"):
            await analysed(tmp_path / name)
    assert (await analysed(tmp_path / "wide.log", encoding="UTF_16_LE")).templates == 1


@pytest.mark.parametrize("encoding", ["klingon", "base64", "a\0b"])
def test_an_encoding_that_is_none_is_refused(encoding: str) -> None:
    told = CliRunner().invoke(app, ["logs", "x.log", "--encoding", encoding])
    assert isinstance(told.exception, BadInput) and told.exception.exit_code == 2
    assert told.exception.details["field"] == "--encoding"


async def test_the_same_run_again_gives_the_same_report(log: Path, analysed: Analyse) -> None:
    first = await analysed(log, state="web")
    assert await analysed(log, state="web") == first


async def test_a_dry_run_keeps_nothing(log: Path, analysed: Analyse) -> None:
    report = await analysed(log, state="web", dry_run=True)
    assert report.templates == len(KINDS)
    assert not list(open_store().list("operations/"))
