"""The generated pages are those of this code."""

from deployments.docs import ROOT, pages


def test_generated_pages_are_up_to_date() -> None:
    stale = [path for path, content in pages().items() if (ROOT / path).read_text(encoding="utf-8") != content]
    assert not stale, "run `make docs`"
