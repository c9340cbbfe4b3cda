"""An audit kept: twice, killed, in S3; the site is whole at every moment."""

import asyncio
import re
from functools import partial
from pathlib import PurePosixPath

import pytest

from blocks.errors import NotFound
from blocks.escalation.channels import Posted
from blocks.store import Files, LocalFiles
from tasks.quality.audit.audit import Gathered, judged, report_of
from tasks.quality.audit.history import read_jobs, read_periods
from tasks.quality.audit.judged import AuditReport
from tasks.quality.audit.keep import keep, read_report
from tests.fakes.stored_jobs import DAY, fill, repeat_phrases
from tests.tasks.ops.killing import killed_at
from tests.tasks.quality.audit.auditing import day_of, gathered

# Failures are told as events; without a server each test that tells some would start one of its own.
pytestmark = pytest.mark.usefixtures("prefect_api")

LINK = re.compile(rb'href="([^"#]+)"')


class Operators:
    """Who is told.

    Args:
        are_away: Whether no message reaches them.
    """

    def __init__(self, *, are_away: bool = False) -> None:
        self.told: list[tuple[str, str]] = []
        self._are_away = are_away

    async def post(self, subject: str, body: str) -> Posted:
        if self._are_away:
            return Posted(channels=1, taken=0, why="mail: the server does not answer")
        self.told.append((subject, body))
        return Posted(channels=1, taken=1)


Audit = tuple[Gathered, AuditReport]


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """A day, read and judged."""
    files = LocalFiles(tmp_path_factory.mktemp("bad"))
    fill(files, 2, 12, fault=repeat_phrases, share=0.5)
    found = gathered(files)
    return found, report_of(found, judged(found, None), "a-run", dry_run=False)


def site(files: Files) -> dict[str, bytes]:
    return {key: files.read_bytes(key) for key in files.list("quality/docs/")}


def check_whole(files: Files) -> None:
    """Every page is whole, and whatever it links to is there."""
    pages = site(files)
    for key, content in pages.items():
        assert content.rstrip().endswith(b"</html>"), key
        for link in LINK.findall(content):
            if not link.startswith(b"data:"):
                target = PurePosixPath(key).parent / link.decode()
                parts = list[str]()
                for part in target.parts:
                    parts = parts[:-1] if part == ".." else [*parts, part]
                assert "/".join(parts) in pages or parts[-1] == "index.html", (key, link)


async def kept(files: Files, audit: Audit, operators: Operators) -> AuditReport:
    return await keep(files, day_of(DAY), *audit, operators.post)


async def test_the_same_audit_again_changes_nothing_and_tells_nobody(files: LocalFiles, bad: Audit) -> None:
    operators = Operators()
    report = await kept(files, bad, operators)
    before = {key: files.read_bytes(key) for key in files.list("quality/") if not key.startswith("quality/audits")}
    assert await kept(files, bad, operators) == report.model_copy(update={"posted": ""})
    assert before == {key: files.read_bytes(key) for key in before}
    [(subject, body)] = operators.told
    assert subject.startswith("quality of 2026-03-02 failed: 12 jobs, ")
    assert "jobs/repeated-phrases" in body
    assert report.page in body
    assert report.posted == "given to the operators' channels"
    check_whole(files)
    assert read_report(files, "2026-03-02").period == report.period


async def test_a_message_that_reached_nobody_is_sent_by_the_next_audit(files: LocalFiles, bad: Audit) -> None:
    report = await kept(files, bad, Operators(are_away=True))
    assert report.posted == "mail: the server does not answer"
    operators = Operators()
    for _ in range(2):
        await kept(files, bad, operators)
    assert len(operators.told) == 1


async def test_wherever_it_is_killed_the_site_is_whole(files: LocalFiles, bad: Audit) -> None:
    operators, moment = Operators(), 1
    work = partial(keep, files, day_of(DAY), *bad, operators.post)
    while await asyncio.to_thread(killed_at, moment, work, (LocalFiles, "put_bytes")):
        check_whole(files)
        await work()
        check_whole(files)
        assert [row.name for row in read_periods(files)] == ["2026-03-02"]
        assert len(read_jobs(files, day_of(DAY))[0]) == 12
        for key in [*files.list("quality/docs/"), *files.list("quality/history/periods/")]:
            files.delete(key)
        moment += 1
    assert moment > 2 * 4, "history, report, period, page, first page"


async def test_a_site_in_s3(s3_files: Files, bad: Audit) -> None:
    report = await kept(s3_files, bad, Operators())
    assert report.page.startswith("s3://")
    assert {key.removeprefix("quality/docs/") for key in site(s3_files)} == {"index.html", "periods/2026-03-02.html"}
    check_whole(s3_files)


def test_a_period_that_was_not_audited_is_told(files: LocalFiles) -> None:
    with pytest.raises(NotFound, match="was not audited"):
        read_report(files, "2026-03-02")
