"""Merging: nothing without a source, nothing twice, contradictions kept."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.dispatch.merge import MergeAnswer, cleaned, deduplicated, merged_by_rule
from tasks.dispatch.prompts import Quoted
from tasks.dispatch.report import answer_markdown
from tasks.dispatch.result import Statement


def statement(text: str, *sources: str, section: str = "") -> dict[str, object]:
    return {"text": text, "sources": list(sources), "section": section}


def answer(*statements: dict[str, object], conflicts: list[dict[str, object]] | None = None) -> MergeAnswer:
    return MergeAnswer.model_validate({"statements": list(statements), "conflicts": conflicts or []})


def test_a_statement_without_a_known_source_is_dropped_and_told() -> None:
    merged = cleaned(answer(statement("Yes.", "a"), statement("No.", "x"), statement("Perhaps.")), {"a"})
    assert [one.text for one in merged.statements] == ["Yes."]
    assert [notice.code for notice in merged.notices] == ["statement_dropped"] * 2
    assert "x" in merged.notices[0].message


def test_an_unknown_source_beside_a_known_one_is_dropped_and_told() -> None:
    merged = cleaned(answer(statement("Yes.", "a", "x")), {"a"})
    assert merged.statements == (Statement(text="Yes.", sources=("a",)),)
    assert [notice.code for notice in merged.notices] == ["source_dropped"]


def test_equal_statements_become_one_with_all_sources() -> None:
    merged = cleaned(answer(statement("It is  5,000 USD.", "a"), statement("it is 5,000 usd", "b", "a")), {"a", "b"})
    assert merged.statements == (Statement(text="It is  5,000 USD.", sources=("a", "b")),)


def test_different_numbers_are_different_statements() -> None:
    assert len(deduplicated(answer(statement("5,000 USD", "a"), statement("6,000 USD", "b")).statements)) == 2


def test_a_contradiction_keeps_both_sides() -> None:
    conflict = {"about": "Customers", "sides": [statement("400.", "a"), statement("250.", "b")]}
    merged = cleaned(answer(statement("Open.", "a"), conflicts=[conflict]), {"a", "b"})
    assert [[side.sources for side in one.sides] for one in merged.conflicts] == [[("a",), ("b",)]]


def test_a_contradiction_with_one_side_left_is_a_statement() -> None:
    conflict = {"about": "Customers", "sides": [statement("400.", "a"), statement("250.", "x")]}
    merged = cleaned(answer(statement("Open.", "a"), conflicts=[conflict]), {"a"})
    assert merged.conflicts == ()
    assert [one.text for one in merged.statements] == ["Open.", "400."]


def test_the_rule_takes_paragraphs_and_marks_itself() -> None:
    merged = merged_by_rule([Quoted(id="a", text="One.\n\nTwo."), Quoted(id="b", text="two\n\n\nThree.")])
    assert merged.by == "rule"
    assert [(one.text, one.sources) for one in merged.statements] == [
        ("One.", ("a",)),
        ("Two.", ("a", "b")),
        ("Three.", ("b",)),
    ]


texts = st.text(alphabet="abc 12.,–", min_size=1).filter(lambda text: text.strip())


@given(st.lists(st.tuples(texts, st.lists(st.sampled_from("abxyz"), max_size=4)), max_size=12))
def test_what_is_kept_has_known_sources_and_nothing_known_is_lost(made: list[tuple[str, list[str]]]) -> None:
    known = {"a", "b"}
    merged = cleaned(answer(*(statement(text, *sources) for text, sources in made)), known)
    for one in merged.statements:
        assert one.sources
        assert set(one.sources) <= known
        assert len(set(one.sources)) == len(one.sources)
    kept = {source for one in merged.statements for source in one.sources}
    assert kept == {source for _, sources in made for source in sources if source in known}
    assert deduplicated(merged.statements) == merged.statements


def test_headings_stand_once_above_their_statements() -> None:
    merged = cleaned(
        answer(
            statement("A.", "a", section="Why"),
            statement("B.", "a", section="Why"),
            statement("C.", "a", section="How"),
        ),
        {"a"},
    )
    text = answer_markdown(merged.statements, merged.conflicts)
    assert text == "## Why\n\nA. [a]\n\nB. [a]\n\n## How\n\nC. [a]\n"
