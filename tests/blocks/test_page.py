"""Pages that are files of their own: what the frame promises, and colours that can be read."""

import itertools
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest

from blocks.page import SHARED, document
from tasks.evaluation.page import STYLE as EVALUATION
from tasks.quality.audit.docs import STYLE as AUDIT
from tasks.quality.report.page import STYLE as REPORT
from tests.colours import contrast, schemes

STYLES = (REPORT, AUDIT, EVALUATION)
COLOURS = ("ink", "soft", "accent", "good", "warn", "bad")
SHEETS = "".join(path.read_text(encoding="utf-8") for path in (SHARED, *STYLES))


@pytest.mark.parametrize("style", STYLES, ids=["report", "audit", "evaluation"])
def test_the_policy_lets_in_the_one_style_and_nothing_else(style: Path) -> None:
    page = document("A page", "<p>text</p>", style)
    [sheet] = re.findall(r"<style>(.*)</style>", page, re.DOTALL)
    digest = b64encode(sha256(sheet.encode()).digest()).decode()
    assert re.findall(r'Content-Security-Policy" content="([^"]*)"', page) == [
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    ]
    assert sheet == SHARED.read_text(encoding="utf-8") + style.read_text(encoding="utf-8")
    assert not re.search(r"url\(|@import|<", sheet)
    assert "<body><p>text</p></body></html>" in page
    assert page == document("A page", "<p>text</p>", style)


def test_a_title_from_outside_is_text() -> None:
    page = document("</title><script>alert(1)</script>\u202e\x1b[31m", "", REPORT)
    assert "<title>&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;\\u202e\\x1b[31m</title>" in page
    assert "<script" not in page


@pytest.mark.parametrize("scheme", schemes(SHEETS), ids=["light", "dark"])
def test_text_stands_out_from_its_ground(scheme: dict[str, str]) -> None:
    text = [*itertools.product(COLOURS, ("paper", "panel")), ("baseline", "paper")]
    text += [
        pair for one in ("good", "warn", "bad") for pair in itertools.product(("ink", "soft", one), (f"{one}-paper",))
    ]
    found = {pair: contrast(*(scheme[name] for name in pair)) for pair in text}
    assert {pair: value for pair, value in found.items() if value < 4.5} == {}
    assert contrast(scheme["before"], scheme["paper"]) >= 3, "a bar of a chart (WCAG 1.4.11)"


def test_each_colour_is_said_once_and_in_both_schemes() -> None:
    light, dark = schemes(SHEETS)
    assert light.keys() == dark.keys()
    assert len(re.findall(r"--[\w-]+: ", SHEETS)) == len(light) + len(dark)
    assert set(re.findall(r"var\(--([\w-]+)\)", SHEETS)) <= light.keys()
    assert not re.search(r"#[0-9a-f]{3,8}\b", re.sub(r"--[\w-]+: #[0-9a-f]{6};", "", SHEETS)), (
        "no colour without a name"
    )
