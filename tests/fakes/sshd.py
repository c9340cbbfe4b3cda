"""A real sshd on loopback that lets the user of the tests in by a key."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

from tests.processes import free_port

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"

CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
PasswordAuthentication no
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class Sshd:
    """Where it listens, and what lets one in.

    Attributes:
        port: On 127.0.0.1.
        user: Who may log in.
        key: File of the private key.
        known_hosts: File with its public key.
        pid: Of its process.
    """

    port: int
    user: str
    key: Path
    known_hosts: Path
    pid: int

    def entry(self, name: str) -> str:
        """The host's lines of an inventory."""
        return (
            f"  {name}: {{address: 127.0.0.1, port: {self.port}, user: {self.user}, "
            f"key: {self.key}, known_hosts: {self.known_hosts}}}\n"
        )


@contextmanager
def running_sshd(folder: Path) -> Iterator[Sshd]:
    """Start one; it is stopped with the block."""
    for name in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "key.pub", folder / "authorized_keys")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # sshd of Debian asks for it
    port = free_port()
    config = folder / "sshd_config"
    config.write_text(CONFIG.format(port=port, folder=folder))
    public = (folder / "host_key.pub").read_text().split()[:2]
    known = folder / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {' '.join(public)}\n")
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stdout=log, stderr=log)
    try:
        _wait_for(port, process, folder / "sshd.log")
        yield Sshd(port, getuser(), folder / "key", known, process.pid)
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    while True:
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
