"""`c500 disk`, `drift` and `capacity` take files of the home folder, also where no shell has said where that is."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from deployments.cli import app, load_commands

FILES = {
    "rules.yaml": "filesystems: [/]\nthreshold_percent: 100\nactions: [{name: a, place: /, argv: ['true']}]\n",
    "declared.yaml": "targets: [{name: a, files: [{path: /etc, kind: folder}]}]\n",
    "plan.yaml": "resources: [{name: a, source: {kind: csv, file: none.csv}, limit: 1}]\n",
}


@pytest.mark.usefixtures("prefect_api")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("disk", "heal", "--rules=~/rules.yaml", "--profile", "staging"), "not full"),
        (("drift", "detect", "~/declared.yaml", "--profile", "staging"), "no drift"),
        (("capacity", "~/plan.yaml", "--profile", "staging"), "there is no file"),
    ],
)
def test_a_file_of_the_home_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    for name, text in FILES.items():
        (tmp_path / "home" / name).write_text(text)
    load_commands()
    result = CliRunner().invoke(app, list(words))
    assert told in result.output and "~" not in result.output, result.output
