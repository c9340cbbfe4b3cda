"""Tests put right in real repositories, in the real sandbox."""

import socket

import pytest

from tests.fakes.repository import Repo
from tests.tasks.ops.fixing.conftest import CART, TESTS, Fixing

MOVED = {"shop/cart.py": None, "shop/basket.py": CART}


def state(repo: Repo) -> tuple[str, str, str]:
    """What must stay as it is: where the work tree stands, what is in it, where main leads."""
    return repo.git("symbolic-ref", "HEAD"), repo.git("status", "--porcelain"), repo.git("rev-parse", "main")


async def test_a_moved_module_is_followed_on_a_branch_of_its_own(repo: Repo, fixing: Fixing) -> None:
    repo.put(MOVED)
    before = state(repo)
    (fix,) = (await fixing()).fixes
    assert (fix.status, fix.rule, fix.runs) == ("fixed", "moved-module", (1, 1, 1))
    assert repo.git("show", f"{fix.branch}:tests/test_cart.py").splitlines()[0] == "from shop.basket import total"
    assert repo.git("diff", "--name-status", "main", fix.branch) == "M\ttests/test_cart.py"
    assert repo.git("rev-parse", f"{fix.branch}^") == before[2]
    assert state(repo) == before
    assert repo.git("worktree", "list").count("\n") == 0


async def test_the_same_again_makes_the_same_branch(repo: Repo, fixing: Fixing) -> None:
    repo.put(MOVED)
    (first,) = (await fixing()).fixes
    (again,) = (await fixing(performer={"run_id": "run-2"})).fixes
    assert (again.status, again.commit) == ("fixed", first.commit)


async def test_a_dry_run_makes_no_branch(repo: Repo, fixing: Fixing) -> None:
    repo.put(MOVED)
    (fix,) = (await fixing(performer={"dry_run": True})).fixes
    assert (fix.status, fix.runs) == ("planned", (1, 1, 1))
    assert repo.git("branch", "--format=%(refname:short)") == "main"


async def test_one_fix_per_branch(repo: Repo, fixing: Fixing) -> None:
    tests = (
        "import pytest\nfrom shop.cart import greeting, total\n\n\n"
        "@pytest.fixture\ndef prices():\n    return [1, 2]\n\n\n"
        "def test_total(prcies):\n    assert total(prcies) == 3\n\n\n"
        "def test_greeting():\n    assert greeting('Ann') == 'Hello Ann'\n\n\n"
        "def test_three():\n    assert total([1, 1, 1]) == 3\n"
    )
    repo.put({"tests/test_cart.py": tests.replace("prcies", "prices")})
    since = repo.git("rev-parse", "HEAD")
    repo.put({"tests/test_cart.py": tests, "shop/cart.py": CART.replace("Hello", "Hi")})
    report = await fixing(since=since)
    by_rule = {one.rule: one for one in report.fixes}
    assert by_rule["fixture-name"].status == "fixed"
    assert by_rule["fixture-name"].still_failing == ("tests.test_cart.test_greeting",)
    diff = repo.git("diff", "-U0", "main", by_rule["fixture-name"].branch)
    assert [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")] == [
        "-def test_total(prcies):",
        "-    assert total(prcies) == 3",
        "+def test_total(prices):",
        "+    assert total(prices) == 3",
    ]


async def test_a_renamed_function_is_followed(repo: Repo, fixing: Fixing) -> None:
    repo.put({"shop/cart.py": CART.replace("total", "sum_of")})
    (fix,) = (await fixing()).fixes
    assert (fix.status, fix.rule) == ("fixed", "renamed-symbol")
    assert (
        repo.git("show", f"{fix.branch}:tests/test_cart.py")
        == TESTS.replace("total(", "sum_of(")
        .replace("import total", "import sum_of")
        .replace("test_sum_of", "test_total")
        .strip()
    )


async def test_a_function_that_moved_to_another_module_is_followed(repo: Repo, fixing: Fixing) -> None:
    total, greeting = CART.split("\n\n\n")
    repo.put({"shop/prices.py": total + "\n", "shop/cart.py": greeting})
    (fix,) = (await fixing()).fixes
    assert (fix.status, fix.rule, fix.runs) == ("fixed", "moved-symbol", (1, 1, 1))
    assert repo.git("show", f"{fix.branch}:tests/test_cart.py").splitlines()[0] == "from shop.prices import total"


async def test_an_import_of_what_is_gone_is_dropped_only_where_nothing_uses_it(repo: Repo, fixing: Fixing) -> None:
    tests = TESTS.replace("import total", "import greeting, total")
    repo.put({"tests/test_cart.py": tests, "tests/test_more.py": f"{tests}    assert greeting('Ann')\n"})
    repo.put({"shop/cart.py": CART.split("\n\n\n")[0] + "\n"})
    (fix,) = (await fixing()).fixes
    assert (fix.status, fix.rule, fix.runs) == ("fixed", "unused-import", (1, 1, 1))
    assert repo.git("show", f"{fix.branch}:tests/test_cart.py") == TESTS.strip()
    (used,) = (await fixing("tests/test_more.py")).fixes
    assert (used.status, used.rule) == ("no_fix", "")


async def test_an_expected_value_follows_the_source_only_where_its_change_explains_it(
    repo: Repo, fixing: Fixing
) -> None:
    source = "def rate():\n    return 7\n\n\ndef fee(n):\n    return n * 2\n"
    tests = (
        "from shop.tax import fee, rate\n\n\ndef test_rate():\n    assert rate() == 7\n\n\n"
        "def test_fee():\n    assert fee(4) == 8\n"
    )
    repo.put({"shop/tax.py": source, "tests/test_tax.py": tests})
    repo.put({"shop/tax.py": source.replace("7", "9").replace("n * 2", "n * n")})
    rate, fee = (await fixing("tests/test_tax.py")).fixes
    assert (rate.status, rate.rule) == ("fixed", "expected-value")
    assert "assert rate() == 9" in repo.git("show", f"{rate.branch}:tests/test_tax.py")
    assert (fee.status, fee.rule) == ("no_fix", "")


async def test_a_test_that_finds_a_bug_is_left_as_it_is(repo: Repo, fixing: Fixing) -> None:
    repo.put({"shop/cart.py": CART.replace("sum(prices)", "sum(prices) + 1")})
    report = await fixing()
    assert [one.status for one in report.fixes] == ["no_fix"]
    assert not report.all_fixed
    assert repo.git("branch", "--format=%(refname:short)") == "main"


async def test_a_test_that_passes_here_is_not_touched(repo: Repo, fixing: Fixing) -> None:
    report = await fixing()
    assert [one.status for one in report.fixes] == ["does_not_fail"]


async def test_a_fix_that_passes_only_sometimes_is_none(repo: Repo, fixing: Fixing) -> None:
    shaky = "import random\n\n\ndef total(prices):\n    return sum(prices) if random.random() < 0.02 else -1\n"
    repo.put({"shop/cart.py": None, "shop/basket.py": CART})
    since = repo.git("rev-parse", "HEAD~1")
    repo.put({"shop/basket.py": shaky + CART.partition("\n\n\n")[2]})
    assert [one.status for one in (await fixing(since=since)).fixes if one.status == "fixed"] == []


async def test_what_fails_with_a_fix_is_named(repo: Repo, fixing: Fixing) -> None:
    repo.put(MOVED | {"tests/test_cart.py": TESTS.replace("== 3", "== 4")})
    (fix,) = (await fixing()).fixes
    assert fix.status == "did_not_pass"
    assert "in run 1 of 3: tests.test_cart.test_total fails; 0 of the file pass" in fix.why


async def test_an_interpreter_without_pytest_is_told_with_what_to_do(repo: Repo, fixing: Fixing) -> None:
    (fix,) = (await fixing(python="/usr/bin/python3")).fixes
    if "No module named pytest" not in fix.why:
        pytest.skip("the system's Python has pytest")
    assert fix.status == "failed" and fix.why.endswith("name an interpreter that has it (--python)")


async def test_a_skip_where_an_optional_dependency_is_absent_must_be_allowed(repo: Repo, fixing: Fixing) -> None:
    project = '[project]\nname = "shop"\nversion = "1"\n[project.optional-dependencies]\nai = ["nosuchthing>=2"]\n'
    repo.put(
        {"pyproject.toml": project, "tests/test_cart.py": "import nosuchthing\n\n" + TESTS + "\nnosuchthing.go()\n"}
    )
    (refused,) = (await fixing()).fixes
    assert (refused.status, refused.rule) == ("refused", "optional-dependency")
    assert "importorskip" in refused.why
    (fix,) = (await fixing(allow=("skip",))).fixes
    assert fix.status == "fixed"


async def test_tests_reach_neither_network_nor_the_repository(repo: Repo, fixing: Fixing) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        tests = (
            "import pathlib, pytest, socket\n\n\ndef test_out():\n"
            "    pathlib.Path('shop/cart.py').write_text('')\n"
            f"    assert not pathlib.Path({str(repo.folder)!r}).exists()\n"
            f"    with pytest.raises(OSError):\n        socket.create_connection(('127.0.0.1', {port}), 5)\n"
        )
        repo.put({"tests/test_cart.py": tests})
        before = state(repo)
        (fix,) = (await fixing()).fixes
    assert fix.status == "does_not_fail"
    assert state(repo) == before


async def test_hooks_and_filters_of_the_repository_do_not_run(repo: Repo, fixing: Fixing) -> None:
    marker = repo.folder.parent / "ran"
    for name in ("pre-commit", "post-commit", "reference-transaction", "post-checkout"):
        hook = repo.folder / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\necho {name} >> {marker}\n")
    repo.put({**MOVED, ".gitattributes": "*.py filter=evil\n"})
    repo.git("config", "filter.evil.clean", f"touch {marker}; cat")
    repo.git("config", "filter.evil.smudge", f"touch {marker}; cat")
    for hook in (repo.folder / ".git" / "hooks").iterdir():
        hook.chmod(0o755)
    (fix,) = (await fixing()).fixes
    assert fix.status == "fixed"
    assert not marker.exists()
