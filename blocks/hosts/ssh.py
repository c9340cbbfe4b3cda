"""A host over SSH."""

import asyncio
import posixpath
import shlex
import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from blocks.errors import EngineUnavailable, NotAllowed, NotFound, TooLarge
from blocks.hosts.command import Kept, became, checked_argv, checked_env
from blocks.hosts.inventory import Machine
from blocks.hosts.protocol import COMMAND_S, FILE_BYTES, OUTPUT_BYTES, CommandResult, HostUnreachable
from blocks.secret_reference import secret_at

CONNECT_S, KEEPALIVE_S, MOST_SILENT = 15, 15, 4
KILLED = 137


class SshHost:
    """A machine that sshd lets us into.

    The far side's sshd hands every command to the user's shell: words are quoted for it, so that each arrives as it is.

    Args:
        machine: The machine, with address and key.
        connection: To it; of asyncssh.
    """

    def __init__(self, machine: Machine, connection: Any) -> None:
        self._machine, self._connection = machine, connection

    @property
    def name(self) -> str:
        """As the inventory calls it."""
        return self._machine.name

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] = {},
        cwd: str | None = None,
        timeout_s: float = COMMAND_S,
        become: bool = False,
    ) -> CommandResult:
        """See `Host.run`."""
        told, more = checked_argv(argv), checked_env(env)
        needs_sudo = become and self._machine.user != "root"
        words = became(told, more, become=needs_sudo)
        # By the shell, which `exec` replaces: all users of that machine can read the words of a program that runs.
        given = {} if needs_sudo else more
        exported = "".join(f"export {name}={shlex.quote(value)} && " for name, value in given.items())
        # `timeout` of coreutils: a program whose connection is closed may go on otherwise.
        line = f"echo $$ && {exported}exec timeout --kill-after=1 {timeout_s:g} {shlex.join(words)}"
        line = line if cwd is None else f"cd -- {shlex.quote(cwd)} && {line}"
        return await self._run(told, line, stdin, timeout_s, become=needs_sudo)

    async def read_file(self, path: str, *, most_bytes: int = FILE_BYTES) -> bytes:
        """See `Host.read_file`."""
        async with self._files(path) as files, files.open(path, "rb") as stream:
            content: bytes = await stream.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise TooLarge(f"{path} has more than {most_bytes} bytes", fix="read a part by a command", field="path")
        return content

    async def write_file(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """See `Host.write_file`."""
        import asyncssh

        folder, name = posixpath.split(path)
        temporary = posixpath.join(folder, f".{name}.{uuid.uuid4().hex}")
        async with self._files(path) as files:
            try:
                # From the beginning with its rights: what nobody may read, nobody reads while it is written.
                async with files.open(temporary, "wb", asyncssh.SFTPAttrs(permissions=mode)) as stream:
                    await stream.write(content)
                    await stream.fsync()  # else a crash over there may leave the name, and nothing in it
                await files.chmod(temporary, mode)
                await files.posix_rename(temporary, path)
            except BaseException:
                if await files.exists(temporary):
                    await files.remove(temporary)
                raise

    async def _run(
        self, argv: tuple[str, ...], line: str, stdin: bytes, timeout_s: float, *, become: bool
    ) -> CommandResult:
        import asyncssh

        out, err, began, timed_out = Kept(OUTPUT_BYTES), Kept(OUTPUT_BYTES), time.monotonic(), False
        pid = b""
        try:
            process = await self._connection.create_process(line, encoding=None)
            try:
                async with asyncio.timeout(timeout_s + CONNECT_S):
                    pid = (await process.stdout.readline()).strip()
                    with suppress(OSError):  # it has ended already, and reads nothing
                        process.stdin.write(stdin)
                        process.stdin.write_eof()
                    await asyncio.gather(_kept(process.stdout, out), _kept(process.stderr, err))
                    await process.wait_closed()
            except TimeoutError:
                timed_out = True
                await self._kill(pid, become=become)
            except asyncio.CancelledError:
                await asyncio.shield(self._kill(pid, become=become))
                raise
            finally:
                process.close()  # not waited for: sshd confirms it when the program has ended
            status, ended_by = process.exit_status, process.exit_signal
        except (asyncssh.Error, OSError) as error:
            raise EngineUnavailable(
                f"the connection to {self.name} broke while {argv[0]} ran: {error}",
                fix="look on the host whether it ran to its end",
            ) from error
        took_s = time.monotonic() - began
        timed_out = timed_out or (status in (124, KILLED) and took_s >= timeout_s)
        stdout, stderr = out.text(), err.text()
        return CommandResult(
            argv=argv,
            exit_code=KILLED if status is None or ended_by else int(status),
            stdout=stdout,
            stderr=stderr,
            truncated=out.truncated or err.truncated,
            timed_out=timed_out,
            took_s=round(took_s, 3),
        )

    async def _kill(self, pid: bytes, *, become: bool) -> None:
        """End the group of a command that we wait for no longer; `timeout` has made one of its own."""
        import asyncssh

        if not pid.isdigit():
            return  # it never began
        words = became(("kill", "-s", "KILL", "--", f"-{pid.decode()}"), {}, become=become)
        with suppress(asyncssh.Error, OSError, TimeoutError):
            await asyncio.wait_for(self._connection.run(shlex.join(words)), CONNECT_S)

    @asynccontextmanager
    async def _files(self, path: str) -> AsyncGenerator[Any]:
        import asyncssh

        try:
            async with self._connection.start_sftp_client() as files:
                yield files
        except asyncssh.SFTPNoSuchFile as error:
            raise NotFound(f"{self.name}: there is no {path}", fix="check the path", field="path") from error
        except asyncssh.SFTPError as error:
            raise NotAllowed(f"{self.name}: {path}: {error.reason}", fix="look at its rights") from error
        except (asyncssh.Error, OSError) as error:
            raise HostUnreachable(f"{self.name}: {error}", fix="look at its sshd and the network") from error


@asynccontextmanager
async def connected(machine: Machine) -> AsyncGenerator[SshHost]:
    """A host over SSH, closed with the block.

    Raises:
        HostUnreachable: it does not answer, its key is not the known one, or it does not let us in.
        NotFound, BadInput: the secret of the inventory is not there.
    """
    import asyncssh

    password = await secret_at(machine.password, machine.folder, "password") or None
    keys = [] if machine.key is None else [str(machine.placed(machine.key))]
    known = str(machine.placed(machine.known_hosts)) if machine.known_hosts else ()
    try:
        connection = await asyncssh.connect(
            machine.address,
            machine.port,
            username=machine.user,
            client_keys=keys,
            password=password,
            known_hosts=known,
            config=None,
            agent_path=None,
            connect_timeout=CONNECT_S,
            login_timeout=CONNECT_S,
            keepalive_interval=KEEPALIVE_S,
            keepalive_count_max=MOST_SILENT,
        )
    except asyncssh.HostKeyNotVerifiable as error:
        raise _unreachable(machine, f"its key is not in {machine.known_hosts}", "add it with ssh-keyscan") from error
    except asyncssh.PermissionDenied as error:
        raise _unreachable(machine, "it does not let us in", "look at user and key") from error
    except (asyncssh.Error, OSError, ValueError) as error:
        raise _unreachable(machine, str(error) or type(error).__name__, "look at its sshd and the network") from error
    async with connection:
        yield SshHost(machine, connection)


async def _kept(pipe: Any, kept: Kept) -> None:
    while chunk := await pipe.read(65_536):
        kept.add(chunk)


def _unreachable(machine: Machine, why: str, fix: str) -> HostUnreachable:
    return HostUnreachable(f"{machine.name} ({machine.address}:{machine.port}) cannot be reached: {why}", fix=fix)
