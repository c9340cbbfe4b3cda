"""A fix as a branch: nothing but the text of test files, there as a whole or not at all."""

import pytest

from blocks.errors import Conflict, NotAllowed
from tasks.ops.change.git import Repository
from tasks.ops.fixing.branch import check_tree, commit_of, make_branch, tree_with
from tests.fakes.repository import Repo
from tests.tasks.ops.fixing.conftest import TESTS


@pytest.fixture
async def repository(repo: Repo) -> Repository:
    return await Repository.opened(repo.folder)


async def test_a_source_is_never_changed(repo: Repo, repository: Repository) -> None:
    base = repo.git("rev-parse", "HEAD")
    with pytest.raises(NotAllowed, match="no test file"):
        await tree_with(repository, base, "shop/cart.py", "x = 1\n")
    with pytest.raises(NotAllowed, match="no regular file"):
        await tree_with(repository, base, "tests/test_none.py", "x = 1\n")


async def test_a_link_among_the_tests_is_no_way_out(repo: Repo, repository: Repository) -> None:
    (repo.folder / "tests/test_link.py").symlink_to("../shop/cart.py")
    base = repo.put({})
    with pytest.raises(NotAllowed, match="no regular file"):
        await tree_with(repository, base, "tests/test_link.py", "x = 1\n")


@pytest.mark.parametrize("how", ["rights", "link", "renamed", "added", "gone", "source"])
async def test_a_tree_that_changes_more_than_text_is_refused(repo: Repo, repository: Repository, how: str) -> None:
    base, path = repo.git("rev-parse", "HEAD"), repo.folder / "tests/test_cart.py"
    if how == "rights":
        path.chmod(0o755)
    elif how == "renamed":
        path.rename(path.with_name("test_other.py"))
    elif how in ("gone", "link"):
        path.unlink()
    if how == "link":
        path.symlink_to("../shop/cart.py")
    name = "tests/test_new.py" if how == "added" else "shop/cart.py"
    head = repo.put({name: "x = 2\n"} if how in ("added", "source") else {})
    with pytest.raises(NotAllowed):
        await check_tree(repository, base, head)


async def test_line_ends_and_rights_stay_as_they_are(repo: Repo, repository: Repository) -> None:
    text = TESTS.replace("\n", "\r\n")
    base = repo.put({"tests/test_cart.py": text})
    tree = await tree_with(repository, base, "tests/test_cart.py", text.replace("3", "4"))
    assert await repository.content(tree, "tests/test_cart.py") == text.replace("3", "4").encode()


async def test_a_branch_of_somebody_else_is_not_moved(repo: Repo, repository: Repository) -> None:
    base = repo.git("rev-parse", "HEAD")
    tree = await tree_with(repository, base, "tests/test_cart.py", TESTS + "\n")
    commit = await commit_of(repository, base, tree, "one")
    assert await commit_of(repository, base, tree, "one") == commit
    repo.git("branch", "c500/fix-tests/x")
    with pytest.raises(Conflict):
        await make_branch(repository, "c500/fix-tests/x", commit)
    assert repo.git("rev-parse", "c500/fix-tests/x") == base
