"""An analysis of files of the test."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from blocks.store import open_store
from tasks.ops.logs.analyse import analyse
from tasks.ops.logs.report import LogReport
from tasks.ops.logs.request import LogOptions
from tests.tasks.ops.conftest import MakePerformer

Analyse = Callable[..., Coroutine[Any, Any, LogReport]]


@pytest.fixture
def analysed(make_performer: MakePerformer) -> Analyse:
    """Analyse files, as `await analysed(path, run_id="a", state="web")`."""

    async def run(*paths: Path, run_id: str = "run-1", dry_run: bool = False, **options: Any) -> LogReport:
        performer = make_performer(run_id=run_id, flow="analyse-logs", dry_run=dry_run)
        return await analyse(performer, open_store(), paths, LogOptions(**options), lambda _: None)

    return run
