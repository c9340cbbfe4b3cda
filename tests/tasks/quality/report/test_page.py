"""The forms of a report: as a page in a real browser, as Markdown, and as a message of bounded length."""

import re
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import sync_playwright

from tasks.quality.report.markdown import MESSAGE_CHARS, SUBJECT_CHARS, headline, message, report_markdown
from tasks.quality.report.page import report_page
from tasks.quality.report.period import period_of
from tasks.quality.report.report import Chart, Figure, Gap, OperationsReport, Part, changed, number, table_of
from tasks.quality.report.svg import chart_svg, nice

CHROMIUM = Path("/usr/bin/chromium")
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script> | <img src=x onerror=alert(2)> `![x](http://x/y)` \x1b[31m\u202e&amp;"
PARTS = ("people", "jobs", "quality", "costs", "incidents", "operations", "agents", "batches", "steps")


def report(**parts: Part) -> OperationsReport:
    """A report; parts that are not given are empty."""
    return OperationsReport(
        run_id="run-1",
        period=period_of("day", "2026-11-21", ZoneInfo("Europe/Berlin"), NOON + timedelta(days=1)),
        made_at=NOON + timedelta(days=1),
        parts=tuple(parts.get(name, Part(name=name, title=name.title())) for name in PARTS),
        place="file:///store/reports/day/2026-11-21",
    )


def hostile() -> OperationsReport:
    """A report in which all that may come from outside is hostile."""
    rows = [(HOSTILE * 3, HOSTILE, HOSTILE, HOSTILE, 7.0)] * 12
    people = Part(
        name="people",
        title="People",
        figures=(Figure(name="waiting", label="waiting", value=12),),
        tables=table_of(HOSTILE, {"what": "text", "how": "text", "since": "text", "which": "text", "n": "count"}, rows),
        notes=(HOSTILE,),
        gaps=(Gap(source=HOSTILE, why=HOSTILE, fix=HOSTILE),),
    )
    jobs = Part(
        name="jobs",
        title="Jobs",
        figures=(
            Figure(name="jobs", label="jobs", value=1200, before=600, is_news=True),
            Figure(name="failed", label="failed", value=30, before=3, is_news=True, better="less"),
            Figure(name="rtf", label="RTF", value=0.2, unit="ratio", before=0.4, is_news=True, better="less"),
            Figure(name="none", label="cancelled", value=0, before=0),
        ),
        charts=(
            Chart(title="Jobs", labels=("00", HOSTILE, "02"), values=(1, 20, 300), before=(2, 10, 0)),
            Chart(title="Ranking", labels=(HOSTILE, "b"), values=(2, 1), unit="s", is_ranking=True),
        ),
    )
    made = report(people=people, jobs=jobs)
    return made.model_copy(update={"summary": HOSTILE, "written_by": HOSTILE})


class Tags(HTMLParser):
    """All tags of a page, with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_nothing_from_outside_becomes_a_tag() -> None:
    page = report_page(hostile())
    tags = Tags(page)
    assert not {"script", "img", "iframe", "object", "form"} & {tag for tag, _ in tags.seen}
    names = {name for _, attributes in tags.seen for name in attributes}
    assert not any(name.startswith("on") for name in names) and "style" not in names
    assert "\x1b" not in page and "\u202e" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    (policy,) = [one["content"] or "" for tag, one in tags.seen if one.get("http-equiv") == "Content-Security-Policy"]
    style = page.partition("<style>")[2].partition("</style>")[0]
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    links = [value or "" for _, one in tags.seen for name, value in one.items() if name in ("href", "src")]
    assert all(link.startswith("#") or link == "data:," for link in links)


def test_nothing_from_outside_is_markdown() -> None:
    text = report_markdown(hostile())
    assert "\x1b" not in text and "\u202e" not in text
    for line in text.splitlines():
        bare = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", line)
        assert "<script" not in bare and "![" not in bare, line
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows and all(line.count("|") == 6 for line in rows), "no cell ends early"


@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs the Debian package chromium")
@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 390)])
def test_a_browser_has_nothing_to_complain_of(tmp_path: Path, scheme: Any, width: int) -> None:
    (tmp_path / "report.html").write_text(report_page(hostile()), encoding="utf-8")
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        opened.on("console", lambda one: said.append(one.text))
        opened.on("pageerror", lambda one: said.append(str(one)))
        opened.on("dialog", lambda one: said.append(one.message))
        opened.on("request", lambda one: said.append(one.url) if not one.url.startswith(("file:", "data:")) else None)
        opened.goto((tmp_path / "report.html").as_uri())
        assert opened.title() == "Operations: Saturday 2026-11-21"
        assert opened.evaluate("document.documentElement.scrollWidth") <= width, "nothing leads to the right"
        paper, ink = (
            opened.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color")
        )
        assert (paper, ink) == {
            "light": ("rgb(255, 255, 255)", "rgb(26, 31, 36)"),
            "dark": ("rgb(20, 24, 28)", "rgb(232, 236, 240)"),
        }[scheme]
        left = opened.locator("svg.ranking text").evaluate_all("all => all.map(one => one.getBBox().x)")
        assert left and min(left) >= 0, "no name begins outside the picture"
        assert opened.locator(".figure.worse b").all_inner_texts() == ["30"]
        assert opened.locator(".figure.better b").all_inner_texts() == ["0.2"]
        opened.get_by_role("link", name="Jobs *").click()
        assert opened.get_by_role("heading", name="Jobs").is_visible()
        browser.close()
    assert said == []


def test_only_what_is_news_is_marked() -> None:
    text = report_markdown(hostile())
    assert "| jobs | 1,200 | 600 | **+600 (+100%)** |" in text
    assert "Nothing in either period: cancelled." in text
    assert "| waiting | 12 |  |  |" in text


def test_a_message_is_short_whatever_happened() -> None:
    subject, body = message(hostile())
    assert len(subject) <= SUBJECT_CHARS and len(body) <= MESSAGE_CHARS
    assert subject == "C500 2026-11-21: 1,200 jobs, 30 failed, 12 things need a person, 1 source could not be read"
    assert body.endswith("All of it: file:///store/reports/day/2026-11-21/report.html")
    assert "lines more" in body
    lines = body.splitlines()
    assert lines.index("- Jobs, failed: 30, +27 (+900%)") < lines.index("- Jobs, jobs: 1,200, +600 (+100%)")


def test_an_empty_period_is_a_clear_report() -> None:
    empty = report()
    assert empty.is_empty and headline(empty) == "nothing happened"
    assert "**nothing happened**" in report_markdown(empty) and "nothing happened" in report_page(empty)
    assert message(empty)[0] == "C500 2026-11-21: nothing happened"
    unread = report(jobs=Part(name="jobs", title="Jobs", gaps=(Gap(source="a", why="b", fix="c"),)))
    assert headline(unread) == "nothing is known to have happened, 1 source could not be read"


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [
        (1234.0, "count", "1,234"),
        (0.0, "usd", "$0.00"),
        (0.0123, "usd", "$0.0123"),
        (1234.5, "usd", "$1,234.50"),
        (0.123, "share", "12.3%"),
        (90.0, "s", "90 s"),
        (7140.0, "s", "119 min"),
        (7200.0, "s", "2 h"),
        (10 * 86_400.0, "s", "10.0 days"),
        (None, "count", "n/a"),
        (float("nan"), "ratio", "n/a"),
        (0.3333, "ratio", "0.333"),
    ],
)
def test_numbers_are_told_as_people_read_them(value: float | None, unit: Any, told: str) -> None:
    assert number(value, unit) == told


def test_changes_are_told_as_difference_and_percentage() -> None:
    def told(value: float | None, before: float | None, unit: Any = "count") -> str:
        return changed(Figure(name="x", label="x", value=value, before=before, unit=unit))

    assert told(12, 10) == "+2 (+20%)" and told(8, 10) == "−2 (−20%)" and told(5, 0) == "+5"
    assert told(5, 5) == "±0" and told(5, None) == "" and told(None, 5) == ""
    assert told(0.3, 0.2, "share") == "+10.0 points" and told(1, 3, "usd") == "−$2.00 (−67%)"


def test_scales_end_at_round_numbers() -> None:
    assert [nice(value, "count") for value in (1, 4, 5, 23, 120, 121)] == [4, 4, 8, 24, 120, 160]
    assert nice(0.3, "usd") == pytest.approx(0.32) and nice(1.9, "usd") == 2
    drawing = chart_svg(Chart(title="x", labels=("a",), values=(0,)))
    assert "NaN" not in drawing and 'height="0.0"' in drawing
