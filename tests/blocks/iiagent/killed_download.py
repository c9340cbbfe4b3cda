"""A download whose process is killed at each of its touches of the disk in turn; then it goes on. Prints how often."""

import asyncio
import os
import shutil
import signal
import sys
import uuid
from pathlib import Path

from blocks.iiagent.download import Download, download
from blocks.iiagent.downloaded import Manifest
from blocks.iiagent.workspace import MountedWorkspace

TOUCHES = {"open", "os.rename", "os.mkdir", "os.remove"}
NEW = {"a.txt": b"a" * 5000, "out/b.txt": b"b" * 300_000}
OLD = {"a.txt": b"old", "out/b.txt": b"older"}


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Be the agent."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def bring(mount: Path, session: str, into: Path) -> Download:
    """One download."""
    return asyncio.run(download(MountedWorkspace(mount, session), into))


def killed_at(touch: int, mount: Path, session: str, into: Path) -> bool:
    """Download in a process that is killed at a touch; False if it ended before."""
    child = os.fork()
    if child == 0:
        left = [touch]

        def count(event: str, given: tuple[object, ...]) -> None:
            if event in TOUCHES:  # `os.kill` is an event, too
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        bring(mount, session, into)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def check(into: Path, files: dict[str, bytes], session: str, mount: Path) -> None:
    """What was killed left only whole files; the next one brings the rest, and nothing that was noted again."""
    for name, content in NEW.items():
        path = into / "files" / name
        assert not path.exists() or path.read_bytes() in (content, OLD[name]), f"{name} is torn"
    journal = into / ".parts" / "journal.jsonl"
    noted = journal.read_bytes().count(b"\n") if journal.exists() else 0
    done = bring(mount, session, into)
    assert len(done.unchanged) >= noted, f"{noted} were noted, and {len(done.unchanged)} kept"
    assert {name: (into / "files" / name).read_bytes() for name in files} == files
    manifest = Manifest.model_validate_json((into / "manifest.json").read_bytes())
    assert manifest.complete
    assert {record.name for record in manifest.files} == set(files)
    assert not (into / ".parts").exists()


def main(root: Path) -> int:
    """Kill at the first touch, the second, and so on, until it ends alive."""
    mount, session = root / "mount", str(uuid.uuid4())
    touch, killed = 1, True
    write(mount / session, OLD)
    bring(mount, session, root / "before")
    write(mount / session, NEW)
    while killed:
        into = root / str(touch)
        shutil.copytree(root / "before", into)
        killed = killed_at(touch, mount, session, into)
        check(into, NEW, session, mount)
        touch += 1
    return touch - 2


if __name__ == "__main__":
    print(main(Path(sys.argv[1])))
