"""Is everything in place? One finding a part, each with the fix when it is not."""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import version

from blocks.errors import C500Error, NotFound
from blocks.model import Frozen
from deployments import agent_checks, operations_checks

LEAST_PYTHON = (3, 11)
LEAST_FREE_BYTES = 1_000_000_000
FIRST_BROKEN_FASTAPI = (0, 151)


class Finding(Frozen):
    """What was found about one part of the system.

    Attributes:
        part: Which.
        good: Whether it is as it should be.
        fact: What was found.
        fix: What to do, where something is to be done.
        lacking: Whether something is absent that all else works without.
    """

    part: str
    good: bool
    fact: str
    fix: str = ""
    lacking: bool = False


def examine() -> list[Finding]:
    """Run every check, those of the service last; a check that raises is a bad finding with the error's own fix."""
    findings = [_run(part, check) for part, check in CHECKS.items()]
    reachable = all(finding.good for finding in findings if finding.part in ("settings", "prefect"))
    return findings + (_service() if reachable else [])


def _run(part: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(part=part, good=True, fact=check())
    except agent_checks.Lacking as error:
        return Finding(part=part, good=True, fact=error.message, fix=error.fix, lacking=True)
    except C500Error as error:
        return Finding(part=part, good=False, fact=error.message, fix=error.fix)
    except (OSError, ImportError) as error:
        return Finding(part=part, good=False, fact=str(error), fix="run `make test` to reinstall")


def _python() -> str:
    found = sys.version_info[:3]
    if found < LEAST_PYTHON:
        raise C500Error(f"Python {'.'.join(map(str, found))} is too old", fix="install Python 3.11 or newer")
    return ".".join(map(str, found))


def _packages() -> str:
    found = version("fastapi")
    if tuple(int(part) for part in found.split(".")[:2]) >= FIRST_BROKEN_FASTAPI:
        raise C500Error(f"fastapi {found} breaks the Prefect server", fix="pip install 'fastapi<0.151'")
    return f"c500 {version('c500')}, prefect {version('prefect')}, fastapi {found}"


def _settings() -> str:
    from blocks.settings import settings

    chosen = settings()
    return f"store {chosen.store_url or chosen.audio_dir}, logs {chosen.log_dir}"


def _store() -> str:
    from blocks.store import open_store

    files = open_store()
    key = "doctor/probe"
    files.put_bytes(key, b"probe")
    if files.read_bytes(key) != b"probe":
        raise C500Error("the store gave back other bytes than were written", fix="check the disk")
    files.delete(key)
    return f"writes and reads at {files.uri('jobs')}"


def _disk() -> str:
    from blocks.settings import settings

    folder = settings().audio_dir.expanduser()
    while not folder.exists():
        folder = folder.parent
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < LEAST_FREE_BYTES:
        raise C500Error(f"only {free_bytes / 1e9:.1f} GB free at {folder}", fix="free some space, or move AUDIO_DIR")
    return f"{free_bytes / 1e9:.0f} GB free at {folder}"


def _speech() -> str:
    from blocks.speech import registry

    return _usable([entry.name for entry in registry.entries() if entry.missing() is None], "speech")


def _language() -> str:
    from blocks.language import registry

    return _usable([entry.name for entry in registry.entries() if entry.missing() is None], "language")


def _usable(names: list[str], kind: str) -> str:
    if not names:
        raise C500Error(f"no {kind} engine is usable", fix="see `c500 engines`")
    return ", ".join(names)


def _gpus() -> str:
    from blocks.settings import settings
    from blocks.vram import Nvml, gpu_count, in_gb

    if not gpu_count():
        return "none: models compute on the CPU"
    meter = Nvml(settings().gpu_index)
    return f"GPU {settings().gpu_index}: {in_gb(meter.total_bytes())}, {in_gb(meter.used_bytes())} in use"


def _templates() -> str:
    from tasks.llm.template import read_templates, template_problems

    templates, broken = read_templates()
    for error in broken.values():
        raise error
    for template in templates:
        if problems := template_problems(template):
            raise C500Error(
                f"template {template.name}: {problems[0]}", fix=f"correct it in {template.path or 'the store'}"
            )
    return ", ".join(template.name for template in templates)


def _accounts() -> str:
    from blocks.accounts.file import read_accounts
    from blocks.settings import settings

    file = settings().accounts_file.expanduser()
    try:
        accounts = read_accounts(file).accounts
    except NotFound:
        return "none: no request goes to LLM accounts"
    return f"{len(accounts)} account{'' if len(accounts) == 1 else 's'} in {file}"


def _prefect() -> str:
    from deployments.server import running_server

    url = running_server()
    return f"server at {url}, admits us" if url else "no server running; commands start a temporary one"


def _service() -> list[Finding]:
    """What is found about the service of the running server; nothing when no server runs."""
    from deployments.server import client_auth, running_server

    url = running_server()
    if url is None:
        return []
    os.environ.update({"PREFECT_API_URL": url} | client_auth(url))
    from deployments.service.checks import check_service

    return [
        Finding(part=part, good=False, fact=found.message, fix=found.fix)
        if isinstance(found, C500Error)
        else Finding(part=part, good=True, fact=found)
        for part, found in asyncio.run(check_service()).items()
    ]


CHECKS: dict[str, Callable[[], str]] = {
    "python": _python,
    "packages": _packages,
    "settings": _settings,
    "store": _store,
    "disk": _disk,
    "speech engines": _speech,
    "language engines": _language,
    "gpu": _gpus,
    "templates": _templates,
    "llm accounts": _accounts,
    **agent_checks.CHECKS,
    **operations_checks.CHECKS,
    "prefect": _prefect,
}
