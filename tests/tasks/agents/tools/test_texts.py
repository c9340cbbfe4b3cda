"""Pages of the web as a reader would see them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.plain_text import visible
from tasks.agents.tools.web.html_text import page_text

URL = "https://example.com/a/"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>một <b>hai</b></p><p>ba", "một hai\n\nba"),
        ("a<br>b", "a\nb"),
        ("<ul><li>1<li>2</ul>", "1\n\n2"),
        ("<a href='b'>x</a>", "[x](https://example.com/a/b)"),
        ("<a href='javascript:evil()'>x</a>", "[x]"),
        ("<script>evil()</script>a<style>b</style>", "a"),
        ("a<span hidden>no</span>b", "ab"),
        ("a<span style='DISPLAY : none'>no</span>b", "ab"),
        ("a<span style='opacity:0'>no</span>b", "ab"),
        ("a<span aria-hidden=true>no<i>no</i></span>b", "ab"),
        ("a<!-- no -->b<?php no ?>", "ab"),
        ("a &amp; b &lt;c&gt;", "a & b <c>"),
        ("", ""),
        ("<template>no</template><noscript>no</noscript>", ""),
    ],
)
def test_what_a_reader_sees(html: str, text: str) -> None:
    assert page_text(f"<html><body>{html}</body></html>", URL)[1] == text


def test_a_page_without_anything() -> None:
    assert page_text("", URL) == page_text("   ", URL) == ("", "")
    assert page_text("<title>a</title>", URL)[0] == "a"


@pytest.mark.parametrize("part", ["<", "<div>", '<a href="', "&", "<!--", "</", "<p a=b "])
def test_broken_pages_are_read_in_time(part: str) -> None:
    assert len(page_text(part * (500_000 // len(part)), URL)[1]) <= 500_000


@given(st.text(max_size=200))
def test_any_page_gives_a_text(html: str) -> None:
    title, text = page_text(html, URL)
    assert visible(title + text) == title + text
