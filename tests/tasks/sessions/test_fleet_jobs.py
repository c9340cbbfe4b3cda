"""Jobs are looked at wholly before the first begins, and every fault is told with its line."""

import json
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import BadInput, NotFound, Unsupported
from tasks.sessions.fleet_jobs import ready_jobs
from tests.blocks.iiagent.opened import server_at

SERVERS = [server_at("http://127.0.0.1:1")]

YAML = """\
jobs:
  - name: first
    prompt: Write output.csv.
    files: [rows.csv]
    checks:
      - {kind: files_exist, globs: [output.csv]}
  - name: second
    prompt: Write more.
    server: fake
"""


def problems(path: Path | list[dict[str, Any]]) -> list[str]:
    with pytest.raises(BadInput) as raised:
        ready_jobs(path, SERVERS)
    return raised.value.details["problems"]


def test_jobs_of_a_yaml_file_are_ready(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a\n")
    (tmp_path / "jobs.yaml").write_text(YAML)
    first, second = ready_jobs(tmp_path / "jobs.yaml", SERVERS)
    assert [file.name for file in first.files] == ["rows.csv"]
    assert second.job.server == "fake"
    assert first.job_id != second.job_id


def test_a_file_given_to_several_jobs_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a\n")
    jobs = [{"name": f"j{at}", "prompt": "Do.", "files": [str(tmp_path / "rows.csv")]} for at in range(3)]
    assert len({job.files[0].sha256 for job in ready_jobs(jobs, SERVERS)}) == 1


def test_every_fault_of_a_yaml_file_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "jobs.yaml"
    path.write_text(YAML.replace("second", "first").replace("fake", "nowhere"))
    told = problems(path)
    assert [line.split(":")[1] for line in told] == ["4", "7", "9"]
    assert "there is no file" in told[0]
    assert "another job has this name (see line 2)" in told[1]
    assert "known are fake" in told[2]


def test_a_wrong_field_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "jobs.yaml"
    path.write_text("jobs:\n  - name: a\n    promt: x\n  - name: b c\n    prompt: y\n")
    assert [line.split(":")[1] for line in problems(path)] == ["2", "3", "4"]


def test_every_fault_of_json_lines_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    path.write_text('{"name": "a", "prompt": "x"}\n\nno JSON\n{"name": "b"}\n[1]\n')
    assert [line.split(":")[1] for line in problems(path)] == ["3", "4", "5"]
    path.write_text('\n{"name": "a", "prompt": "x"}\n{"name": "a", "prompt": "x", "files": ["absent"]}\n')
    told = problems(path)
    assert [line.split(":")[1] for line in told] == ["3", "3"]
    assert any("see line 2" in line for line in told)


def test_a_wrong_field_of_json_lines_is_told_in_words_of_json(tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    path.write_text('{"name": "a", "prompt": 7, "files": "x"}\n')
    assert [line.partition("jobs.jsonl:1: ")[2] for line in problems(path)] == [
        "prompt: here belongs a text, in double quotes",
        "files: here belongs a list, as [ … ]",
    ]


def test_what_a_job_collects_and_whereto_is_part_of_its_books(tmp_path: Path) -> None:
    def collects(into: Path | None = None, **fields: Any) -> str:
        [job] = ready_jobs([{"name": "a", "prompt": "x", **fields}], SERVERS)
        return job.collects(into)

    different = [collects(), collects(tmp_path), collects(outputs=["a.txt"]), collects(manifest="a.json")]
    assert len(set(different)) == 4
    assert collects(outputs=["a", "b"]) == collects(outputs=["b", "a"])


def test_jobs_of_a_program_are_told_by_their_number() -> None:
    assert problems([{"name": "a", "prompt": "x", "session_id": "s"}]) == [
        "jobs.0.session_id: name the server that has it, as `server`"
    ]


def test_a_prompt_that_no_server_takes_is_told() -> None:
    small = [server_at("http://127.0.0.1:1", limits={"query_bytes": 70_000})]
    with pytest.raises(BadInput) as raised:
        ready_jobs([{"name": "a", "prompt": "x" * 80_000}], small)
    assert "prompt" in raised.value.message


@pytest.mark.parametrize(
    ("name", "error"), [("absent.yaml", NotFound), ("absent.jsonl", NotFound), ("a.txt", Unsupported)]
)
def test_a_file_that_cannot_be_read_is_told(name: str, error: type[BadInput], tmp_path: Path) -> None:
    with pytest.raises(error):
        ready_jobs(tmp_path / name, SERVERS)


def test_another_prompt_is_another_job() -> None:
    jobs = [ready_jobs([{"name": "a", "prompt": prompt}], SERVERS)[0] for prompt in ("x", "y")]
    assert jobs[0].job_id != jobs[1].job_id
    assert json.loads(jobs[0].model_dump_json())["job"]["name"] == "a"
