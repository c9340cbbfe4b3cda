"""`python -m tests.bench` lists the benchmarks, `python -m tests.bench NAME [--quick]` runs one.

A benchmark is a module here with `NAME`, `UNIT`, `GOAL` (smaller is better) and
`measure(quick) -> float`, which prints its own details, and perhaps `missing() -> str | None`.
"""

import argparse
import importlib
import pkgutil
import sys
from types import ModuleType

from tests import bench


def benchmarks() -> dict[str, ModuleType]:
    """All benchmark modules by name."""
    names = [item.name for item in pkgutil.iter_modules(bench.__path__) if item.name != "__main__"]
    modules = [importlib.import_module(f"tests.bench.{name}") for name in names]
    return {module.NAME: module for module in modules if hasattr(module, "NAME")}


def run(module: ModuleType, *, quick: bool) -> None:
    """Run one and print its headline as the last line; one that lacks something here says so."""
    lacks = module.missing() if hasattr(module, "missing") else None
    if lacks:
        print(f"{module.NAME} skipped: {lacks}", flush=True)
        return
    value = module.measure(quick)
    verdict = "ok" if value <= module.GOAL else "short"
    print(f"{module.NAME} {value:.3f} {module.UNIT} goal {module.GOAL} {verdict}", flush=True)


def main() -> None:
    """List or run."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("name", nargs="?")
    parser.add_argument("--quick", action="store_true", help="under 60 s each")
    parser.add_argument("--all", action="store_true")
    arguments = parser.parse_args()
    known = benchmarks()
    if arguments.all:
        for module in known.values():
            run(module, quick=arguments.quick)
    elif arguments.name in known:
        run(known[arguments.name], quick=arguments.quick)
    elif arguments.name:
        sys.exit(f"no benchmark {arguments.name}; choose one of {', '.join(known)}")
    else:
        for module in known.values():
            summary = (module.__doc__ or "").splitlines()[0]
            print(f"{module.NAME:10} goal {module.GOAL} {module.UNIT}: {summary}")


if __name__ == "__main__":
    main()
