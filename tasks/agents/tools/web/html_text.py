"""The text of a web page, as a reader sees it."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

from blocks.plain_text import visible

UNSEEN = {"script", "style", "noscript", "template", "svg", "math", "iframe", "object", "head", "select", "canvas"}
BLOCKS = {
    *("address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "fieldset", "figcaption", "figure"),
    *("footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre"),
    *("section", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"),
}
HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*(hidden|collapse)|opacity\s*:\s*0*\.?0*\s*(;|$|!)|font-size\s*:\s*0", re.I
)
MOST_LINK_CHARS = 500


def page_text(html: str, url: str) -> tuple[str, str]:
    """Title and text of a page.

    Scripts, styles and what is hidden are left out; links to web pages stand as `[text](address)`.

    Args:
        html: The page; what is broken in it is read as browsers do.
        url: Where it came from, for its relative links.
    """
    root, walk = _parsed(html)
    if root is None:
        return "", ""
    title: str = root.findtext(".//title") or ""
    text = "".join(_pieces(walk, root, url))
    return visible(title).strip(), _tidy(visible(text))


def _parsed(html: str) -> tuple[Any, Any]:
    """The page's root, and a walk over its elements; nothing where there is no element."""
    from lxml import etree  # pyright: ignore[reportAttributeAccessIssue] - it comes without types

    parser = etree.HTMLParser(no_network=True, remove_comments=True, remove_pis=True, encoding="utf-8")
    try:
        root = etree.fromstring(html.encode("utf-8", "replace"), parser)
    except etree.LxmlError:
        return None, ()
    return root, () if root is None else etree.iterwalk(root, events=("start", "end"))


def _pieces(walk: Any, root: Any, url: str) -> Iterator[str]:
    """The texts of the elements that are seen, in order; without recursion, as a page may be nested deeply."""
    skipped: Any = None
    for event, element in walk:
        if skipped is not None:
            if event == "end" and element is skipped:
                skipped = None
                yield _tail(element, root)
            continue
        if event == "start":
            if not _is_seen(element):
                skipped = element
                continue
            yield from _opening(element)
        else:
            yield from _closing(element, url)
            yield _tail(element, root)


def _is_seen(element: Any) -> bool:
    return (
        isinstance(element.tag, str)
        and element.tag not in UNSEEN
        and element.get("hidden") is None
        and element.get("aria-hidden") != "true"
        and not HIDDEN.search(element.get("style") or "")
    )


def _tail(element: Any, root: Any) -> str:
    return "" if element is root else element.tail or ""


def _opening(element: Any) -> Iterator[str]:
    if element.tag in BLOCKS:
        yield "\n"
    if element.tag == "a" and element.get("href"):
        yield "["
    yield element.text or ""


def _closing(element: Any, url: str) -> Iterator[str]:
    if element.tag == "a" and element.get("href"):
        link = _link(url, element.get("href"))
        yield f"]({link})" if link else "]"
    if element.tag in BLOCKS and element.tag != "br":
        yield "\n"


def _link(url: str, target: str) -> str | None:
    try:
        link = urljoin(url, target.strip())
    except ValueError:
        return None
    return link if link.startswith(("http://", "https://")) and len(link) <= MOST_LINK_CHARS else None


def _tidy(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
