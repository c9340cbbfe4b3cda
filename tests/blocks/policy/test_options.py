"""Options in all their spellings, held against the parser of the C library's rules that Python carries."""

import getopt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.policy.options import Shape, has_flag, has_words, only, straight, words_of

# What a program takes: -a -b -x without a value, -n -o with one.
SHORT = "abxn:o:"
LONG = ["all", "name=", "next", "exec=", "quiet"]
PLAIN = Shape()

SHORT_WORDS = ("-a", "-ab", "-ba", "-n", "-nx", "-n5", "-an5", "-abn", "-o", "-ox", "-xo", "-", "a", "b", "5")
LONG_WORDS = (
    "--",
    "--all",
    "--al",
    "--a",
    "--n",
    "--name",
    "--name=b",
    "--name=",
    "--nam=x",
    "--next",
    "--exec",
    "--ex=x",
)
WORDS = st.sampled_from((*SHORT_WORDS, *LONG_WORDS))
ARGS = st.lists(WORDS, max_size=6)


def parsed(args: list[str]) -> tuple[list[tuple[str, str]], list[str]] | None:
    """What the program would understand; None where it would refuse."""
    try:
        return getopt.gnu_getopt(args, SHORT, LONG)
    except getopt.GetoptError:
        return None


@settings(max_examples=400, deadline=None)
@given(ARGS)
def test_arguments_that_are_allowed_hold_nothing_else(args: list[str]) -> None:
    allowed = ["-a", "-b", "-n=", "--all", "--name="]
    words, truth = only(args, allowed), parsed(args)
    if words is not None and truth is not None:
        assert {name for name, _ in truth[0]} <= {"-a", "-b", "-n", "--all", "--name"}
        assert list(words) == truth[1]


@settings(max_examples=400, deadline=None)
@given(ARGS)
def test_option_that_a_program_would_take_is_found(args: list[str]) -> None:
    truth = parsed(args)
    for name, value in truth[0] if truth else []:
        assert has_flag(name, args, PLAIN)
        assert has_flag(f"{name}={value}", args, PLAIN)
    if truth and "--" not in args:
        assert set(truth[1]) <= {*words_of(args), "-"}


@pytest.mark.parametrize(
    ("flag", "args", "found"),
    [
        ("-exec", ["-exec", "x"], True),
        ("-exec", ["--exec"], True),
        ("-exec", ["-execdir"], False),
        ("--output", ["-output=x"], True),
        ("--output", ["--outside"], False),
        ("--output", ["output"], False),
        ("-o", ["-vo", "x"], True),
        ("-o", ["--o"], False),
        ("-o=proxy*", ["-oProxyCommand=x"], True),
        ("-o=proxy*", ["-v", "-o", "PROXYCOMMAND x"], True),
        ("-o=proxy*", ["-o", "Port=1"], False),
        ("--format=j*", ["--format", "json"], True),
        ("--format=j*", ["--format=text"], False),
        ("*", ["a", "-", "--"], False),
        ("*", ["-q"], True),
    ],
)
def test_option_is_found_where_it_may_stand(flag: str, args: list[str], found: bool) -> None:
    assert has_flag(flag, args, PLAIN) is found


def test_short_option_is_not_looked_for_in_the_value_of_another() -> None:
    assert not has_flag("-o", ["-Cfoo"], Shape(values="C"))
    assert has_flag("-o", ["-oC"], Shape(values="C"))


def test_long_options_with_one_dash_are_no_bundles() -> None:
    assert not has_flag("-L", ["-nameL"], Shape(one_dash=True))
    assert has_flag("-L", ["-L"], Shape(one_dash=True))


def test_first_word_of_a_bundle_is_options() -> None:
    assert straight(["xIf", "prog"], Shape(bundle=True)) == ("-xIf", "prog")
    assert straight(["xIf", "prog"], PLAIN) == ("xIf", "prog")


@pytest.mark.parametrize(
    ("words", "found"), [(["remote", "add"], True), (["add"], True), (["add", "remote"], False), (["re*"], True)]
)
def test_words_are_found_one_after_the_other(words: list[str], found: bool) -> None:
    assert has_words(words, ["-C", "x", "remote", "-v", "add"]) is found


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["-v", "log", "--", "-x"], ("log", "-x")),
        (["-vn5", "log"], ("log",)),
        (["-n", "-5"], None),
        (["-n5v"], ()),
        (["--name=ab"], ()),
        (["--name", "ab", "c"], ("c",)),
        (["--name", "b"], None),
        (["--verbose"], None),
        (["-"], ("-",)),
    ],
)
def test_allowed_arguments_leave_their_words(args: list[str], words: tuple[str, ...] | None) -> None:
    assert only(args, ["-v", "-n=", "--name=a*"]) == words


def test_value_that_may_be_left_out_is_only_taken_behind_an_equals_sign() -> None:
    assert only(["--color", "x"], ["--color", "--color="]) == ("x",)
    assert only(["--color=always", "x"], ["--color", "--color="]) == ("x",)
