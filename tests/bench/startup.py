"""Time to import a flow and to show the help, against `import prefect` alone."""

import statistics
import subprocess
import sys
import time

NAME = "startup"
UNIT = "x-of-goal"
GOAL = 1.0

FLOWS_GOAL_S = 2.5
HELP_GOAL_S = 1.0
COMMANDS = {
    "import prefect": [sys.executable, "-c", "import prefect"],
    "one flow": [sys.executable, "-c", "from flows import process_audio"],
    "all flows": [sys.executable, "-c", "from flows import *"],
    "c500 --help": [sys.executable, "-m", "deployments", "--help"],
}


def measure(quick: bool) -> float:
    """Worst of a flow's time and the help's, divided by their goals (2.5 s and 1 s)."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(3 if quick else 9):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    for name, median in medians.items():
        print(f"{name:16} {median:.2f} s  {median / medians['import prefect']:.2f} x import prefect")
    return max(medians["one flow"] / FLOWS_GOAL_S, medians["c500 --help"] / HELP_GOAL_S)
