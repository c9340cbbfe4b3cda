"""What is shown to people as Markdown."""

from markdown_it import MarkdownIt

from blocks.markdown import inert


def test_what_a_model_wrote_loads_no_picture() -> None:
    shown = inert('See ![plan](http://evil.test/?d=1), <img src="http://evil.test/">, and **this**.')
    rendered = MarkdownIt().render(shown)
    assert "<img" not in rendered
    assert "<strong>this</strong>" in rendered
