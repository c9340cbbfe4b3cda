"""Log analysis on a 2 GB log: MB/s and memory against `grep -c` and drain3 alone, in one run.

drain3 alone is the miner with the masks of its own documentation, line by line; it is measured on the first part of
the log, since on all of it it would take many minutes. Each is a process of its own, one after another. MB/s are
those of processor time, which other work on the machine does not change much; the wall's are printed beside them.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from tests.tasks.ops.logs.logging_service import BEGIN, text

NAME = "logs"
UNIT = "x of the goals, 5 times as fast as drain3 alone and 256 MB of memory, the worse:"
GOAL = 1.0

FASTER, MOST_RSS_MB = 5.0, 256.0
LOG_BYTES = {True: 200_000_000, False: 2_000_000_000}
PEER_BYTES = 40_000_000
DAY_LINES = 400_000
SEED_TEXT = f"{BEGIN:%Y-%m-%d}T"


def measure(quick: bool) -> float:
    """The worse of the two ratios; 1 is the goal, less is better."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = _written(folder / "service.log", LOG_BYTES[quick])
        part = folder / "part.log"
        with log.open("rb") as stream:
            part.write_bytes(stream.read(PEER_BYTES))
        size_mb = log.stat().st_size / 1e6
        runs = {
            "grep -c": _grep(log),  # reads it into the page cache, the second time counts
            f"grep -c, all {size_mb:,.0f} MB": _grep(log),
            f"drain3 alone, first {PEER_BYTES / 1e6:.0f} MB": (peer := _child("drain3", part)),
            f"analyse_logs, all {size_mb:,.0f} MB": (ours := _child("ours", log)),
        }
    for title, one in list(runs.items())[1:]:
        memory = f"{one['rss_mb']:6.0f} MB of memory" if "rss_mb" in one else ""
        print(f"{title:32} {one['mb_per_s']:9.1f} MB/s  {one['wall_mb_per_s']:9.1f} of wall time  {memory}", flush=True)
    grep = runs[f"grep -c, all {size_mb:,.0f} MB"]["mb_per_s"]
    print(
        f"templates: {ours['templates']}; {ours['mb_per_s'] / peer['mb_per_s']:.1f} times as fast as drain3 alone, "
        f"grep is {grep / ours['mb_per_s']:.1f} times as fast",
        flush=True,
    )
    return max(FASTER * peer["mb_per_s"] / ours["mb_per_s"], ours["rss_mb"] / MOST_RSS_MB)


def _written(path: Path, size: int) -> Path:
    """A day's lines, as often as it takes, each time a day later."""
    day = text(DAY_LINES).encode()
    with path.open("wb") as stream:
        number = 0
        while stream.tell() < size:
            at = BEGIN + timedelta(days=number)
            stream.write(day.replace(SEED_TEXT.encode(), f"{at:%Y-%m-%d}T".encode()))
            number += 1
    return path


def _grep(log: Path) -> dict[str, float]:
    size_mb, begun, before = log.stat().st_size / 1e6, time.perf_counter(), _children_s()
    # Its output into a pipe: one that goes nowhere has grep end at the first line.
    subprocess.run(["grep", "-c", "ERROR", str(log)], check=True, stdout=subprocess.PIPE)
    taken_s = max(_children_s() - before, 0.001)
    return {"mb_per_s": size_mb / taken_s, "wall_mb_per_s": size_mb / (time.perf_counter() - begun)}


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _child(what: str, log: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.logs", what, str(log)], check=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


def _ours(log: Path) -> int:
    from blocks.redact import default_redactor
    from tasks.ops.logs.analyse import LogWork
    from tasks.ops.logs.report import report_of
    from tasks.ops.logs.request import LogOptions
    from tasks.ops.logs.saved import LogState

    work = LogWork(LogOptions(), default_redactor(), "bench", LogState(), None)
    work.begin([log])
    for _ in work.pieces():
        pass
    return report_of(work.analysis, "bench", work.read, work.cut_lines).templates


def _drain3(log: Path) -> int:
    from drain3.masking import MaskingInstruction
    from drain3.template_miner import TemplateMiner
    from drain3.template_miner_config import TemplateMinerConfig

    config = TemplateMinerConfig()
    config.drain_max_clusters = 2_000
    edge, end = r"((?<=[^A-Za-z0-9])|^)", r"((?=[^A-Za-z0-9])|$)"
    config.masking_instructions = [
        MaskingInstruction(f"{edge}(\\d{{1,3}}\\.\\d{{1,3}}\\.\\d{{1,3}}\\.\\d{{1,3}}){end}", "IP"),
        MaskingInstruction(f"{edge}(0x[a-f0-9A-F]+){end}", "HEX"),
        MaskingInstruction(f"{edge}([\\-\\+]?\\d+){end}", "NUM"),
    ]
    miner = TemplateMiner(config=config)
    with log.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            miner.add_log_message(line)
    return len(miner.drain.clusters)


def _main(what: str, log: Path) -> None:
    begun, before = time.perf_counter(), time.process_time()
    templates = (_ours if what == "ours" else _drain3)(log)
    taken_s, wall_s = time.process_time() - before, time.perf_counter() - begun
    size_mb = log.stat().st_size / 1e6
    # Not `ru_maxrss`: that of a process which has just been forked counts, too.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    facts = {
        "mb_per_s": size_mb / taken_s,
        "wall_mb_per_s": size_mb / wall_s,
        "rss_mb": int(peak.split()[1]) / 1024,
        "templates": templates,
    }
    sys.stdout.write(json.dumps(facts))


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]))
