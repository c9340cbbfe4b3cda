"""The report in a real Chromium: it opens without a complaint, asks for nothing, and holds what it should."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tasks.evaluation.case import Case
from tasks.evaluation.compare import compare, totals_of
from tasks.evaluation.evaluation import Evaluation, EvaluationOptions, SystemResult
from tasks.evaluation.output import Output
from tasks.evaluation.page import page
from tasks.evaluation.report import markdown
from tasks.evaluation.score import Scoring, score
from tasks.evaluation.scores import CaseFailure, CaseScore
from tasks.evaluation.system import System

CHROMIUM = Path("/usr/bin/chromium")
HOSTILE = "<img src=x onerror=alert(1)>\u202e|`x`</style>"
OPTIONS = EvaluationOptions(resamples=1_000)


def one_score(number: int, text: str, title: str) -> CaseScore:
    case = Case(
        id=f"{number} {HOSTILE}", text="x", reference="the quick brown fox", expected={"title": HOSTILE}, language="en"
    )
    output = Output(text=text, summary={"title": title}, said=text)
    return score(case, output, Scoring(), template=None, schema_of=dict)


def system(name: str, texts: list[str], title: str) -> SystemResult:
    scores = tuple(one_score(at, text, title) for at, text in enumerate(texts))
    failure = CaseFailure(case="lost", code="X", message=HOSTILE)
    totals = totals_of(scores, OPTIONS)
    return SystemResult(system=System(), label=name, scores=scores, failures=(failure,), totals=totals)


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """Two systems with errors, failures, and names that would like to be markup."""
    candidate = system(f"new {HOSTILE}", ["the quick brown box"] * 8, "Told Alice 42")
    baseline = system("old", ["the quick brown fox"] * 7 + [HOSTILE], HOSTILE)
    ids = tuple(one.case for one in candidate.scores)
    return Evaluation(
        evaluation_id="0" * 16,
        dataset=HOSTILE,
        cases=(*ids, "lost"),
        options=OPTIONS,
        normalisation="as it is",
        candidate=candidate,
        baseline=baseline,
        comparison=compare(candidate, baseline, OPTIONS),
        seconds=1.0,
        reused=0,
        finished_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.mark.skipif(not CHROMIUM.exists(), reason="needs the Debian package chromium")
@pytest.mark.parametrize("width", [900, 390])
def test_the_page_opens_without_a_complaint(evaluation: Evaluation, tmp_path: Path, width: int) -> None:
    (tmp_path / "report.html").write_text(page(evaluation))
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": width, "height": 800})
        opened.on("console", lambda message: said.append(message.text))
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.on("request", lambda request: said.append(request.url) if "report.html" not in request.url else None)
        opened.goto(f"file://{tmp_path}/report.html")
        headings = opened.locator("h2").all_inner_texts()
        assert opened.locator("img, script, iframe").count() == 0
        assert opened.locator("svg circle").count() > 10
        assert opened.locator("del", has_text="fox").count() == 9
        assert opened.evaluate("document.documentElement.scrollWidth") <= width, "nothing leads to the right"
        assert opened.locator("svg").first.evaluate("e => e.clientWidth") >= 640, "its text can be read"
        # The style holds: its hash is the one that the policy names.
        assert opened.locator("h1").evaluate("e => getComputedStyle(e).fontSize") == "25.6px"
        browser.close()
    assert said == []
    for heading in ("Side by side", "Failed cases", "Not in the transcript", "Fields that differ", "Cases"):
        assert heading in headings


def test_nothing_from_outside_is_markup_in_the_markdown_either(evaluation: Evaluation) -> None:
    told = markdown(evaluation)
    assert "<" not in told
    assert "\u202e" not in told
    tables = [line for line in told.splitlines() if line.startswith("|")]
    assert all(line.replace("\\|", "").count("|") >= 3 for line in tables)
    assert "Alice" in told  # what the summary says and the transcript does not
    assert "42" in told
