"""Certificates: told before they expire, renewed, looked at over TLS."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from blocks.effects import EffectLedger
from blocks.settings import settings
from tests.processes import free_port, until_ready
from tests.tasks.ops.maintenance.conftest import Maintain


def certificate(folder: Path, days: int, name: str = "web") -> Path:
    """A key and a certificate that is good for so many days."""
    path = folder / f"{name}.pem"
    files = ("-keyout", str(folder / f"{name}.key"), "-out", str(path))
    words = ("openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=localhost", "-days", str(days))
    subprocess.run([*words, *files], check=True, capture_output=True)
    return path


def task(**facts: Any) -> dict[str, Any]:
    return {"name": "certificates", "kind": "certificates"} | facts


@pytest.mark.parametrize(("days", "status"), [(90, "ok"), (15, "attention"), (3, "failed")])
async def test_what_expires_is_told(maintain: Maintain, tmp_path: Path, days: int, status: str) -> None:
    (result,) = await maintain(task(files=[str(certificate(tmp_path, days))]))
    assert result.status == status, result


async def test_a_renewal_has_to_bring_a_new_certificate(maintain: Maintain, tmp_path: Path) -> None:
    path = certificate(tmp_path, 3)
    new = certificate(tmp_path, 90, "new")
    loaded = tmp_path / "loaded"
    facts = {"files": [str(path)], "renew": ["true"], "reload": ["touch", str(loaded)]}
    (vain,) = await maintain(task(**facts))
    assert vain.status == "failed" and "no new certificate" in vain.summary and not loaded.exists()
    (done,) = await maintain(task(**facts | {"renew": ["cp", str(new), str(path)]}), run_id="run-2")
    assert done.status == "changed" and loaded.exists(), done
    (nothing,) = await maintain(task(**facts | {"renew": ["false"]}), run_id="run-3")
    assert nothing.status == "ok"


async def test_files_that_hold_no_certificate_are_named(maintain: Maintain, tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("nothing")
    (result,) = await maintain(task(files=[str(tmp_path / "x.pem"), str(tmp_path / "none.pem")]))
    assert result.status == "failed" and "x.pem: it holds no" in result.summary and "none.pem" in result.summary


@contextmanager
def tls_server(folder: Path, days: int) -> Iterator[int]:
    port, path = free_port(), certificate(folder, days)
    log = folder / "tls.log"
    with log.open("wb") as out:
        words = ["openssl", "s_server", "-accept", str(port), "-cert", str(path), "-key", str(path.with_suffix(".key"))]
        process = subprocess.Popen([*words, "-www"], stdout=out, stderr=out)
    try:
        until_ready(process, lambda: b"ACCEPT" in log.read_bytes(), log, 30)
        yield port
    finally:
        process.kill()
        process.wait()


async def test_servers_are_asked_for_theirs(maintain: Maintain, tmp_path: Path) -> None:
    with tls_server(tmp_path, 15) as port:
        (result,) = await maintain(task(endpoints=[f"localhost:{port}"]))
    assert result.status == "attention" and f"localhost:{port}, in 15 days" in result.summary, result
    (away,) = await maintain(task(endpoints=[f"localhost:{port}"]))
    assert away.status == "failed"


async def test_after_a_crash_new_certificates_are_loaded_still(maintain: Maintain, tmp_path: Path) -> None:
    """Killed between renewal and reload: the next attempt finds new files, and has servers load them."""
    path, new, loaded = certificate(tmp_path, 3), certificate(tmp_path, 90, "new"), tmp_path / "loaded"
    facts = {"files": [str(path)], "renew": ["cp", str(new), str(path)], "reload": ["touch", str(loaded)]}
    with pytest.raises(Killed):
        await maintain(task(**facts), effects=DiesAt(settings().agents_home / "effects", "/reload/"))
    assert not loaded.exists() and path.read_bytes() == new.read_bytes()
    (result,) = await maintain(task(**facts))
    assert result.status == "changed" and loaded.exists(), result


class Killed(BaseException):
    """The process is no more."""


class DiesAt(EffectLedger):
    """A ledger whose process dies before an effect with this in its name."""

    def __init__(self, folder: Path, at: str) -> None:
        super().__init__(folder)
        self._at = at

    async def once(self, effect_id: str, perform: Any, *, repeatable: bool = False) -> Any:
        if self._at in effect_id:
            raise Killed
        return await super().once(effect_id, perform, repeatable=repeatable)


async def test_servers_show_new_ones_when_they_have_loaded_them(maintain: Maintain, tmp_path: Path) -> None:
    """The renewal changes files; what the server shows changes with the reload only."""
    new_place = tmp_path / "new"
    new_place.mkdir()
    new, reloads = certificate(new_place, 90), tmp_path / "reloads"
    with tls_server(tmp_path, 3) as port:
        path = tmp_path / "web.pem"
        facts = {"files": [str(path)], "endpoints": [f"localhost:{port}"], "renew": ["cp", str(new), str(path)]}
        (vain,) = await maintain(task(**facts, reload=["touch", str(reloads)]))
    assert reloads.exists() and vain.status == "failed", vain
    assert f"localhost:{port}" in " ".join(vain.details) and "no new certificate" in vain.summary
