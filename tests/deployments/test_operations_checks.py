"""What `c500 doctor` and `c500 up` say of the files that operations read; and `c500 --version`."""

from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from blocks.settings import settings
from deployments.cli import app
from deployments.doctor import CHECKS as DOCTOR
from deployments.operations_checks import CHECKS, warnings


def test_the_doctor_looks_at_channels_inventory_and_services() -> None:
    assert DOCTOR.keys() > CHECKS.keys() == {"operations channels", "inventory", "services"}
    assert list(warnings()) == []  # none of them has to be there


def test_each_of_them_that_is_wrong_is_told_with_its_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "OPERATIONS_CHANNELS_FILE": "channels: []\n",
        "INVENTORY_FILE": "hosts: {here: {}}\n",
        "SERVICES_FILE": "services:\n  shop: {logs: [{name: app, file: /var/log/x, host: web-9}]}\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
        monkeypatch.setenv(name, str(tmp_path / name))
    settings.cache_clear()
    channels, services = warnings()
    assert channels.startswith("warning: operations channels: ") and "docs/operations.md" in channels
    assert "there is no host or group web-9" in services
    (tmp_path / "SERVICES_FILE").write_text("services:\n  shop: {logs: [{name: app, file: /var/log/x}]}\n")
    assert len(list(warnings())) == 1  # `local` is this machine, though the inventory calls it `here`


def test_the_version_is_shown() -> None:
    shown = CliRunner().invoke(app, ["--version"])
    assert (shown.exit_code, shown.stdout) == (0, f"c500 {version('c500')}\n")
