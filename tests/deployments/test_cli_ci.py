"""`c500 ci` and `c500 change` as people and programs call them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployments.here import c500_here
from tests.fakes.repository import Repo
from tests.tasks.ops.ci.junit_files import ASSERTION, junit
from tests.tasks.ops.fixing.conftest import BARE, CART, TESTS

MAIN = (
    "import deployments.cli.ci, deployments.cli.fix_tests, deployments.cli.review_change;"
    "from deployments.cli import main; main()"
)


@pytest.fixture
def c500(prefect_api: str):
    """Run the command in this process: exit code, standard output, standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        done = c500_here(*words)
        return done.returncode, done.stdout, done.stderr

    return run


def test_a_build_is_triaged(c500, tmp_path: Path) -> None:
    words = ["ci", "triage", str(junit(tmp_path / "j.xml", one=ASSERTION)), "--commit", "abc", "--json"]
    done = subprocess.run([sys.executable, "-c", MAIN, *words], capture_output=True, text=True, env=dict(os.environ))
    code, report = done.returncode, json.loads(done.stdout)
    assert (code, report["failed"], report["findings"][0]["judged"]["cause"]) == (1, 1, "assertion")
    code, out, _ = c500("ci", "triage", str(junit(tmp_path / "k.xml", one=None)))
    assert code == 0
    assert "All 1 tests are well" in out


def test_wrong_options_are_told(c500, tmp_path: Path) -> None:
    for words in (
        *(["ci", "triage"], ["ci", "triage", "x.xml", "--project", "A B"], ["ci", "fix"], ["change", "review"]),
        ["ci", "fix", "tests/test_cart.py", "--variable", "CI"],
    ):
        code, _, err = c500(*words)
        assert code == 2
        assert "fix: " in err


def test_a_change_is_reviewed_and_the_threshold_decides(c500, tmp_path: Path) -> None:
    repo = Repo.made(tmp_path / "repo")
    repo.put({"a.txt": "one\n"})
    repo.put({"a.js": "console.log(1)\n"})
    words = ["change", "review", "HEAD~1", "--repository", str(repo.folder), "--json", "--out", str(tmp_path / "r.md")]
    code, out, _ = c500(*words)
    assert (code, json.loads(out)["failed"]) == (0, False)
    assert "debug-output" in (tmp_path / "r.md").read_text()
    assert c500(*words, "--fail-on", "low")[0] == 1


def test_a_test_is_put_right(c500, tmp_path: Path) -> None:
    repo = Repo.made(tmp_path / "repo")
    repo.put({"shop/__init__.py": "", "shop/cart.py": CART, "tests/test_cart.py": TESTS})
    repo.put({"shop/cart.py": None, "shop/basket.py": CART})
    variables = [word for name, value in BARE.items() for word in ("--variable", f"{name}={value}")]
    code, out, _ = c500("ci", "fix", "tests/test_cart.py", "--repository", str(repo.folder), *variables, "--json")
    (fix,) = json.loads(out)["fixes"]
    assert (code, fix["status"]) == (0, "fixed")
    assert fix["branch"] in repo.git("branch", "--format=%(refname:short)")
