"""Wall time of our decoder over that of `ffmpeg -ar 16000 -ac 1`, on ten minutes of MP3 and of M4A.

Ours runs in a fresh process each time: open, decode one frame (`probe`), then decode all. The
headline leaves out interpreter start and imports, which a worker pays once and not for each job;
both times are printed. FFmpeg's time is that of its whole process.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from deployments.docs import ROOT

NAME = "decode"
UNIT = "x-ffmpeg"
GOAL = 1.2

DURATION_S = 600
FORMATS = {"mp3": ["-c:a", "libmp3lame", "-b:a", "128k"], "m4a": ["-c:a", "aac", "-b:a", "128k"]}

OURS = """
import json, sys, time
started = time.perf_counter()
from pathlib import Path
import av
from tasks.audio.decode import decode
from tasks.audio.probe import probe
imported = time.perf_counter()
source, target = map(Path, sys.argv[1:])
info = probe(source, max_duration_s=3600)
decode(source, target, channels="mix", loudness_lufs=None, max_duration_s=3600,
       expected_s=info.duration_s, on_progress=lambda share: None)
print(json.dumps({"work_s": time.perf_counter() - imported}))
"""


class Run(NamedTuple):
    """One run of a process: its wall time, the part of it that is work, and its peak memory."""

    wall_s: float
    work_s: float
    peak_rss_mb: float


def measure(quick: bool) -> float:
    """Worst ratio of the two formats: the median over pairs of runs, one right after the other."""
    with tempfile.TemporaryDirectory() as folder:
        return max(_compare(suffix, Path(folder), runs=5 if quick else 15) for suffix in FORMATS)


def _compare(suffix: str, folder: Path, runs: int) -> float:
    source = _recording(folder / f"speech.{suffix}")
    ours: list[Run] = []
    theirs: list[Run] = []
    for _ in range(runs):
        ours.append(_timed([sys.executable, "-c", OURS, str(source), str(folder / "ours.wav")]))
        theirs.append(_timed([*FFMPEG, "-i", str(source), "-ar", "16000", "-ac", "1", str(folder / "theirs.wav")]))
    ours_s, theirs_s = _median(ours, "work_s"), _median(theirs, "wall_s")
    # Pairs, since other work on the machine slows both runs of a pair about alike.
    ratio = statistics.median(our.work_s / their.wall_s for our, their in zip(ours, theirs, strict=True))
    print(
        f"{suffix}: ours {ours_s:.3f} s, with start and imports {_median(ours, 'wall_s'):.3f} s, "
        f"peak {_median(ours, 'peak_rss_mb'):.0f} MB; ffmpeg {theirs_s:.3f} s, "
        f"peak {_median(theirs, 'peak_rss_mb'):.0f} MB; ratio {ratio:.2f}, "
        f"with start and imports {_median(ours, 'wall_s') / theirs_s:.2f} ({runs} runs each)"
    )
    return ratio


FFMPEG = ["ffmpeg", "-y", "-loglevel", "error", "-nostdin"]


def _recording(path: Path) -> Path:
    """The demo meeting, repeated to ten minutes of 44.1 kHz stereo."""
    demo = str(ROOT / "deployments" / "demo" / "meeting.flac")
    shape = ["-t", str(DURATION_S), "-ar", "44100", "-ac", "2"]
    subprocess.run(
        [*FFMPEG, "-stream_loop", "-1", "-i", demo, *shape, *FORMATS[path.suffix[1:]], str(path)], check=True
    )
    return path


def _timed(command: list[str]) -> Run:
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - start
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    work_s = json.loads(printed)["work_s"] if printed else wall_s
    return Run(wall_s, work_s, usage.ru_maxrss / 1024)


def _median(runs: list[Run], field: str) -> float:
    return statistics.median(getattr(run, field) for run in runs)
