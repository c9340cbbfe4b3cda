"""Certificates: told before they expire, renewed, looked at over TLS."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

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
