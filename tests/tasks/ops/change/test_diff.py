"""Diffs of real repositories, whatever their names and attributes try."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.errors import BadInput, NotFound
from tasks.ops.change.diff import read_diff, unquoted
from tasks.ops.change.git import Repository, is_safe
from tests.fakes.repository import Repo

ODD = 'new\nline "quoted" $(reboot) `x` é'


async def test_lines_have_their_numbers(repo: Repo) -> None:
    base = repo.put({"a.py": "one\ntwo\nthree\n"})
    head = repo.put({"a.py": "zero\none\n2\nthree\n", ODD: "x\n"})
    repository = await Repository.opened(repo.folder)
    files = {one.path: one for one in read_diff(await repository.diff(base, head))}
    assert files["a.py"].added == {1: "zero", 3: "2"}
    assert files["a.py"].removed == {2: "two"}
    assert files[ODD].status == "added"
    assert await repository.content(head, ODD) == b"x\n"


async def test_attributes_of_the_change_hide_nothing(repo: Repo) -> None:
    base = repo.put({"a.py": "one\n"})
    head = repo.put({".gitattributes": "*.py -diff export-ignore\n", "a.py": "two\n"})
    repository = await Repository.opened(repo.folder)
    files = {one.path: one for one in read_diff(await repository.diff(base, head))}
    assert files["a.py"].added == {1: "two"}


async def test_renamed_and_deleted_files_are_known(repo: Repo) -> None:
    base = repo.put({"a.py": "one\ntwo\nthree\n", "b.py": "b\n"})
    head = repo.put({"a.py": None, "c.py": "one\ntwo\nthree\n", "b.py": None})
    repository = await Repository.opened(repo.folder)
    files = {one.path: one for one in read_diff(await repository.diff(base, head))}
    assert (files["c.py"].status, files["c.py"].before) == ("renamed", "a.py")
    assert files["b.py"].status == "deleted"


async def test_what_is_exported_stays_in_its_folder(repo: Repo) -> None:
    (repo.folder / "link").symlink_to("/etc")
    head = repo.put({"a/b.py": "x\n"})
    out = repo.folder.parent / "out"
    out.mkdir()
    assert await (await Repository.opened(repo.folder)).export(head, out) == ("a/b.py",)
    assert [path.name for path in out.iterdir()] == ["a"]
    assert not any(path.is_symlink() for path in out.rglob("*"))


@pytest.mark.parametrize("path", ["../a", "a/../b", "/a", "a//b", ".git/config", "a/.GIT/config", "."])
def test_a_name_that_leads_elsewhere_is_none(path: str) -> None:
    assert not is_safe(path)


@pytest.mark.parametrize("ref", ["--output=x", "-x", "a..b", "", "a b", "a\nb", "$(x)"])
async def test_a_name_of_a_commit_is_no_option(repo: Repo, ref: str) -> None:
    repo.put({"a": "x"})
    with pytest.raises(BadInput) as caught:
        await (await Repository.opened(repo.folder)).commit(ref, "base")
    assert caught.value.details["field"] == "base"


async def test_a_commit_that_is_not_there_is_told(repo: Repo) -> None:
    repo.put({"a": "x"})
    with pytest.raises(NotFound):
        await (await Repository.opened(repo.folder)).commit("nowhere")


async def test_a_folder_without_repository_is_told(repo: Repo) -> None:
    with pytest.raises(NotFound) as caught:
        await Repository.opened(repo.folder / "none")
    assert caught.value.details["field"] == "repository"


@given(st.binary(max_size=400))
def test_any_bytes_are_a_diff_or_refused(content: bytes) -> None:
    try:
        read_diff(b"--- a/x\n+++ b/x\n" + content)
    except BadInput as error:
        assert error.details["field"] == "diff"


def test_names_in_quotes_are_read_as_git_writes_them() -> None:
    assert unquoted(r'"b/n\new \"q\" \303\251"', "b/") == 'n\new "q" é'
    assert unquoted("b/plain", "b/") == "plain"
