"""Secrets reach neither the log file nor what a job keeps of it."""

import json
import shutil
from pathlib import Path

import pytest
import structlog

from blocks import timeline
from blocks.logs import configure_logs
from blocks.settings import settings


def logged() -> list[dict[str, object]]:
    content = (settings().log_dir / "c500.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in content.splitlines()]


def test_events_lose_their_secrets_and_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET_API_KEY", "of-the-settings-and-long-enough-0")
    settings.cache_clear()
    configure_logs()
    log = structlog.stdlib.get_logger("c500")
    log.warning("of-the-settings-and-long-enough-0 seen", url="redis://:hunter2@host", token="hunter2", path=tmp_path)
    try:
        raise ValueError("password=hunter2")
    except ValueError as error:
        log.exception("failed", error=error, tokens=12)
    first, second = logged()
    assert "hunter2" not in json.dumps([first, second])
    assert (first["event"], first["token"], first["path"]) == (
        "[REDACTED:known-secret] seen",
        "[REDACTED:token]",
        str(tmp_path),
    )
    assert "Traceback" in str(second["exception"])
    assert (second["error"], second["tokens"], second["level"]) == ("password=[REDACTED:password]", 12, "error")


def test_what_a_job_keeps_of_the_log_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    configure_logs()
    seen = timeline.Timeline()
    with seen.running():
        structlog.stdlib.get_logger("c500").warning("connected", url="redis://:hunter2@host")
    assert [event["url"] for event in seen.events] == ["redis://:[REDACTED:url-password]@host"]


def test_a_log_folder_that_was_taken_away_is_made_again() -> None:
    configure_logs()
    log = structlog.stdlib.get_logger("c500")
    log.warning("before")
    shutil.rmtree(settings().log_dir)
    log.warning("after")
    assert [event["event"] for event in logged()] == ["after"]


def test_work_goes_on_where_no_log_can_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs()
    log = structlog.stdlib.get_logger("c500")
    log.warning("before")
    shutil.rmtree(settings().log_dir)
    settings().log_dir.write_text("a file where the folder was")
    log.warning("after")
    assert "Logging error" in capsys.readouterr().err
