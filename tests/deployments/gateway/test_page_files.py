"""What can be said of the page without a browser: its headers, its colours, its words."""

import itertools
import re

import pytest

from blocks.page import SHARED
from deployments.gateway.routes.page import FOLDER, page_files
from tests.colours import contrast, schemes
from tests.deployments.gateway.gateways import SharedGateway
from tests.processes import HTTP


def css(name: str = "page.css") -> str:
    return (FOLDER / name).read_text()


def test_every_file_comes_with_a_policy_that_forbids_inline_and_foreign_code(shared_gateway: SharedGateway) -> None:
    for path in ("/", *(f"/page/{name}" for name in page_files())):
        answer = HTTP.get(shared_gateway.url + path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "name", ["%2e%2e", "..%2fauth.py", "%2e%2e%2fauth.py", "auth.py", "main.js%00", "", "x" * 5000]
)
def test_nothing_else_is_served(shared_gateway: SharedGateway, name: str) -> None:
    answer = HTTP.get(f"{shared_gateway.url}/page/{name}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_no_file_holds_inline_code_or_styles_or_makes_markup_of_text() -> None:
    html = css("index.html")
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|style=|javascript:|https?:", html)
    scripts = "".join(css(name) for name in page_files() if name.endswith(".js"))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|https?:", scripts)


@pytest.mark.parametrize("scheme", schemes(css()), ids=["light", "dark"])
def test_text_stands_out_from_its_ground(scheme: dict[str, str]) -> None:
    text = [*itertools.product(("ink", "soft", "bad"), ("paper", "panel")), ("ink", "mark"), ("on-accent", "accent")]
    assert {
        pair: contrast(*(scheme[name] for name in pair)) for pair in text if contrast(*(scheme[n] for n in pair)) < 4.5
    } == {}
    edges = [*itertools.product(("line", "accent"), ("paper", "panel"))]
    assert {pair for pair in edges if contrast(*(scheme[name] for name in pair)) < 3} == set()


def test_its_colours_are_those_of_all_pages() -> None:
    for own, shared in zip(schemes(css()), schemes(SHARED.read_text(encoding="utf-8")), strict=True):
        alike = (own.keys() & shared.keys()) - {"line"}
        assert alike == {"paper", "panel", "ink", "soft", "accent", "bad"}
        assert {name: own[name] for name in alike} == {name: shared[name] for name in alike}


def test_every_word_has_its_vietnamese() -> None:
    fixed = re.findall(r"<[^>]*\sdata-t[\s>][^<]*", css("index.html"))
    said = {piece.split(">", 1)[1].strip() for piece in fixed}
    for name in page_files():
        if name.endswith(".js") and name != "words.js":
            said |= set(re.findall(r'\bt\(\s*"([^"]+)"', css(name)))
    said |= set(re.findall(r'^  [A-Z_]+: "([a-z ]+)",$', css("jobs.js"), re.MULTILINE))
    known = set(re.findall(r'^  "([^"]+)":', css("words.js"), re.MULTILINE))
    assert said - known - {"English"} == set()
    assert known - said == set()
