"""The command line, run as a user runs it."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from deployments.docs import ROOT
from tests.deployments.here import c500_here


def c500(*arguments: str, stdin: str | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deployments", *arguments],
        capture_output=True,
        text=True,
        input=stdin,
        timeout=300,
        env=os.environ | environment,
    )


def test_process_prints_a_result_and_copies_its_files_and_it_can_be_shown_again(
    prefect_api: str, sentence: Path, tmp_path: Path
) -> None:
    run = c500("process", str(sentence), "--out", str(tmp_path / "out"))
    assert run.returncode == 0, run.stderr
    assert "call the customer before noon" in " ".join(run.stdout.split())
    assert "extractive" in run.stdout
    assert "transcribe: done" in run.stderr
    assert {"transcript.srt", "result.json", "waveform.png"} <= {path.name for path in (tmp_path / "out").iterdir()}
    result = json.loads(c500_here("process", str(sentence), "--json").stdout)
    again = c500_here("result", result["job_id"], "--json")
    assert json.loads(again.stdout) == result == json.loads((tmp_path / "out" / "result.json").read_text())
    subtitles = c500_here("result", result["job_id"], "--file", "transcript.srt")
    assert "-->" in subtitles.stdout


def test_a_folder_is_a_batch_whose_failures_set_the_exit_code(prefect_api: str, sentence: Path, tmp_path: Path) -> None:
    folder = tmp_path / "calls"
    folder.mkdir()
    (folder / "good.wav").write_bytes(sentence.read_bytes())
    (folder / "cut.wav").write_bytes(sentence.read_bytes()[:40])
    run = c500_here("process", str(folder), "--features", "raw_transcript")
    assert run.returncode == 1
    assert "1 done" in run.stdout
    assert "1 failed" in run.stdout


def test_text_is_read_from_standard_input_and_without_a_server_a_temporary_one_serves() -> None:
    run = c500("text", "-", "--json", stdin="We decided to approve the budget. Maria will call David on Friday.\n")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["status"] == "complete"
    assert "Traceback" not in run.stderr
    assert "rror" not in run.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["process", "nowhere.wav"], "nowhere.wav"),
        (["process", "a.wav", "--template", "novel"], "novel"),
        (["process", "a.wav", "--engine", "ears"], "ears"),
        (["process", "a.wav", "--language", "vi"], "vi"),
        (["process", "a.wav", "--language", "klingon"], "language"),
        (["process", "a.wav", "--features", "poem"], "features"),
        (["process", "a.wav", "--diarise", "left"], "diarise"),
        (["text", "nowhere.txt"], "nowhere.txt"),
        (["result", "0123456789abcdef"], "0123456789abcdef"),
        (["result", "../../etc/passwd"], "passwd"),
        (["templates", "show", "novel"], "novel"),
    ],
)
def test_bad_input_is_one_line_what_and_one_line_how(arguments: list[str], says: str) -> None:
    Path("a.wav").write_bytes(b"never read")
    run = c500_here(*arguments)
    assert run.returncode == 2
    what, how = run.stderr.strip().splitlines()
    assert what.startswith("error: ")
    assert says in what
    assert how.startswith("fix: ")
    assert run.stdout == ""


def test_a_process_of_its_own_ends_as_the_command_line_in_this_one_does() -> None:
    here, run = (command("process", "a.wav") for command in (c500_here, c500))
    assert (run.returncode, run.stdout, run.stderr) == (2, here.stdout, here.stderr)
    assert run.stderr.startswith("error: ")


def test_a_wrong_setting_stops_at_start() -> None:
    run = c500_here("doctor", JOB_TIMEOUT="soon")
    assert run.returncode == 1
    assert "JOB_TIMEOUT is 'soon'" in run.stdout


def test_debug_shows_the_traceback() -> None:
    assert "Traceback" in c500("process", "nowhere.wav", "--debug").stderr


def test_doctor_names_the_line_of_a_wrong_accounts_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("accounts:\n  - {name: a, lables: x}\n")
    run = c500_here("doctor", ACCOUNTS_FILE=str(file))
    assert run.returncode == 1
    assert f"BAD  llm accounts     {file}:2: " in run.stdout
    assert "did you mean labels?" in run.stdout


def test_doctor_says_that_an_accounts_file_cannot_be_looked_at(tmp_path: Path) -> None:
    run = c500_here("doctor", ACCOUNTS_FILE=str(tmp_path / ("x" * 300)))
    assert run.returncode == 1
    told = run.stdout[run.stdout.index("BAD  llm accounts") :].splitlines()
    assert "cannot be read: File name too long" in told[0]
    assert "correct the file" in told[1]


def test_doctor_finds_a_plain_machine_well() -> None:
    run = c500("doctor")
    assert run.returncode == 0, run.stdout
    assert "sphinx" in run.stdout
    assert "BAD" not in run.stdout


def test_engines_tell_what_is_missing_and_how_to_get_it() -> None:
    run = c500_here("engines")
    assert "OPENAI_SPEECH_URL" in run.stdout
    assert "extractive" in run.stdout


def test_templates_are_listed_shown_and_checked(tmp_path: Path) -> None:
    names = [line.split()[0] for line in c500_here("templates", "list").stdout.splitlines()]
    assert {"meeting_notes", "interview", "call_summary", "generic_summary", "text_enhancement"} <= set(names)
    assert '"type": "object"' in c500_here("templates", "show", "meeting_notes").stdout
    good = ROOT / "tasks" / "llm" / "templates" / "meeting_notes"
    assert c500_here("templates", "check", str(good)).returncode == 0
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "schema.json").write_text('{"type": "nonsense"}')
    assert c500_here("templates", "check", str(bad)).returncode == 2


def test_ctrl_c_in_a_terminal_ends_the_run_and_its_server(sentence: Path, tmp_path: Path) -> None:
    """It goes to the whole process group: the temporary server must not be in it, or the run waits for it."""
    long = tmp_path / "long.wav"
    loop = ["ffmpeg", "-loglevel", "error", "-stream_loop", "30", "-i", str(sentence), "-c", "copy", str(long)]
    subprocess.run(loop, check=True)
    run = subprocess.Popen(
        [sys.executable, "-m", "deployments", "process", str(long), "--language", "en"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert run.stderr is not None
    for line in run.stderr:
        if line.startswith("detect-speech"):
            break
    os.killpg(run.pid, signal.SIGINT)
    rest = run.stderr.read()
    run.wait(timeout=60)
    assert run.returncode == 130
    assert rest.splitlines()[-1].startswith("interrupted")
    assert not [process for process in psutil.process_iter() if started_by(process, run.pid)]


def started_by(process: psutil.Process, session: int) -> bool:
    with suppress(psutil.NoSuchProcess, ProcessLookupError):
        return os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    return False


@pytest.mark.parametrize("server", ["prefect_server", pytest.param("temporary", marks=pytest.mark.soak)])
def test_sigterm_is_one_line(server: str, sentence: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if server == "prefect_server":
        request.getfixturevalue(server)
    long = tmp_path / "long.wav"
    loop = ["ffmpeg", "-loglevel", "error", "-stream_loop", "30", "-i", str(sentence), "-c", "copy", str(long)]
    subprocess.run(loop, check=True)
    run = subprocess.Popen(
        [sys.executable, "-m", "deployments", "process", str(long)], stderr=subprocess.PIPE, text=True
    )
    assert run.stderr is not None
    for line in run.stderr:
        if line.startswith("detect-speech"):
            break
    run.terminate()
    rest = run.stderr.read()
    run.wait(timeout=60)
    assert run.returncode == 143, rest
    assert "Traceback" not in rest
    assert rest.splitlines()[-1].startswith("terminated")
