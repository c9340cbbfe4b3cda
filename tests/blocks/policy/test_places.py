"""Paths that globs name: what they may be, and what they surely are."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from blocks.policy.paths import PathGlob, Places, seen

GLOB = TypeAdapter(PathGlob)


def surely(glob: str, path: str, workspace: str | None = None) -> bool:
    return Places((GLOB.validate_python(glob),), workspace).is_surely(seen(path))


def may(glob: str, path: str, workspace: str | None = None, *, around: bool = False) -> bool:
    return bool(Places((GLOB.validate_python(glob),), workspace).any_may_be([seen(path)], around=around))


@pytest.mark.parametrize(
    ("glob", "path", "named"),
    [
        ("/a/**", "/a/b/c", True),
        ("/a/**", "/a", True),
        ("/a/**", "/ab", False),
        ("/a/*", "/a/b", True),
        ("/a/*", "/a/b/c", False),
        ("/a/*", "/a", False),
        ("**/.env", "/.env", True),
        ("**/.env", "/a/b/.env", True),
        ("**/.env", "/a/x.env", False),
        ("**/x/**/y", "/a/x/y", True),
        ("**/x/**/y", "/x/1/2/y", True),
        ("**/x/**/y", "/y/x", False),
        ("/a/b?[0-9]*.t", "/a/bx7.t", True),
        ("/a/[!b]c", "/a/bc", False),
        ("/a/[!b]c", "/a//c", False),
        ("/a.b", "/axb", False),
        ("**", "/", True),
        ("/a/", "/a", True),
    ],
)
def test_glob_names_paths(glob: str, path: str, named: bool) -> None:
    assert surely(glob, path) is may(glob, path) is named


NAMES = st.sampled_from(("a", "b", "ab", "a.b"))
PARTS = st.sampled_from(("a", "b", "*", "a*", "?", "**", "*b*"))


def naive(parts: list[str], names: list[str]) -> bool:
    """The same, as one would say it aloud."""
    from fnmatch import fnmatchcase

    if not parts:
        return not names
    if parts[0] == "**":
        return any(naive(parts[1:], names[start:]) for start in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], parts[0]) and naive(parts[1:], names[1:])


@settings(max_examples=400, deadline=None)
@given(st.lists(PARTS, min_size=1, max_size=4), st.lists(NAMES, max_size=5))
def test_globs_mean_what_they_say(parts: list[str], names: list[str]) -> None:
    if parts[:-1].count("**") <= 2:
        assert surely("/" + "/".join(parts), "/no-such/.." + "/" + "/".join(names)) is naive(parts, names)


def test_long_paths_take_no_long_time() -> None:
    """Without care, either takes longer than the age of the universe; the test's time limit is the judge."""
    assert not surely("**/a/**/b", "/a" * 1500)
    assert not surely("/x/*a*a*a*a*a*a*b", "/x/" + "a" * 4000)


def test_workspace_is_named_whatever_characters_it_has(tmp_path: Path) -> None:
    odd = tmp_path.resolve() / "w[1]*?"
    assert surely("{workspace}/**", f"{odd}/a", str(odd))
    assert not surely("{workspace}/**", f"{tmp_path}/w1xy/a", str(odd))


def test_glob_that_needs_a_workspace_holds_for_all_and_surely_for_none_without_one() -> None:
    assert may("{workspace}/**", "/anything")
    assert not surely("{workspace}/**", "/anything")


def test_link_is_where_it_leads(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    assert may(f"{real}/**", f"{link}/x")
    assert may(f"{link}/**", f"{real}/x")
    assert surely(f"{real}/**", f"{link}/x")
    assert not surely(f"{link}/**", f"{link}/x")


def test_what_forbids_does_not_look_at_case() -> None:
    assert may("/A/secret", "/a/SECRET")
    assert may("/a/secret", "/a/ｓｅｃｒｅｔ")
    assert not surely("/a/secret", "/a/SECRET")


def test_folder_above_is_meant_where_it_may_be_moved() -> None:
    assert may("/a/b/c*", "/a", around=True)
    assert may("/a/b/c*", "/", around=True)
    assert not may("/a/b/c*", "/a/x", around=True)
    assert not may("/a/b/c*", "/a")


def test_path_behind_an_unreadable_link_is_surely_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(path: str) -> str:
        raise PermissionError(path)

    monkeypatch.setattr(os.path, "realpath", unreadable)
    assert seen("/a/b") == ("/a/b", "/")
    assert may("/a/*", "/a/b")
    assert not surely("/a/*", "/a/b")


def test_home_is_this_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert surely("~/.profile", str(tmp_path.resolve() / ".profile"))


@pytest.mark.parametrize(
    "bad",
    [
        "etc/x",
        "./x",
        "",
        "/a/../b",
        "/a/./b",
        "/a//b",
        "/a/**b",
        "/a/[b",
        "/[z-a]",
        "/[]",
        "/a\\b",
        "/{a,b}",
        "/a\nb",
        "**/a/**/b/**/c",
        "{workspace}x",
        "~user/x",
    ],
)
def test_bad_glob_is_refused(bad: str) -> None:
    with pytest.raises(ValidationError):
        GLOB.validate_python(bad)
