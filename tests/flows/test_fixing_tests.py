"""Tests put right, as a flow: from the JUnit file of a build to a branch."""

import subprocess
import sys
from pathlib import Path

import pytest

from blocks.audit.places import open_audit
from blocks.errors import BadInput, NotFound
from blocks.redact import default_redactor
from blocks.settings import settings
from blocks.store import open_store
from flows.fixing_tests import fix_tests
from tasks.ops.fixing.request import FixAsked
from tasks.ops.fixing.result import FixReport
from tasks.ops.options import OperationsOptions
from tests.fakes.repository import Repo
from tests.tasks.ops.fixing.conftest import BARE, CART, TESTS

OPTIONS = OperationsOptions(user="ann", attended=False)


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = Repo.made(tmp_path / "repo")
    repo.put({"shop/__init__.py": "", "shop/cart.py": CART, "tests/test_cart.py": TESTS})
    repo.put({"shop/cart.py": None, "shop/basket.py": CART})
    return repo


async def test_from_a_build_that_failed_to_a_branch(prefect_api: str, repo: Repo, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={tmp_path}/j.xml", "tests"]
    subprocess.run(command, cwd=repo.folder, check=False, capture_output=True)  # noqa: ASYNC221 - a build, in its own time
    asked = FixAsked(repository=str(repo.folder), junit=(str(tmp_path / "j.xml"),), environment=BARE)
    report = await fix_tests(asked, OPTIONS)
    (fix,) = report.fixes
    assert (fix.status, fix.file, fix.rule) == ("fixed", "tests/test_cart.py", "moved-module")
    assert repo.git("log", "-1", "--format=%an", fix.branch) == "C500"
    assert FixReport.model_validate_json(open_store().read_bytes(f"operations/fixes/{report.run_id}.json")) == report
    audit = open_audit(settings().agents_home, default_redactor())
    done = [one.entry.tool for one in audit.read(report.run_id) if one.entry.phase == "done"]
    assert done == ["run_in_sandbox"] * 4 + ["make_branch"]


async def test_in_production_a_branch_needs_nobody_and_a_rule_can_forbid_it(
    prefect_api: str, repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = "rules:\n  - {id: not-here, verdict: forbid, tools: [make_branch], reason: not here}\n"
    (tmp_path / "policy.yaml").write_text(rules)
    monkeypatch.setenv("OPERATIONS_POLICY_FILE", str(tmp_path / "policy.yaml"))
    settings.cache_clear()
    asked = FixAsked(repository=str(repo.folder), tests=("tests/test_cart.py",), environment=BARE)
    (fix,) = (await fix_tests(asked, OPTIONS)).fixes
    assert fix.status == "refused"
    assert "not here" in fix.why
    assert repo.git("branch", "--format=%(refname:short)") == "main"


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({}, "tests"),
        ({"tests": ("shop/basket.py",)}, "tests"),
        ({"tests": ("../tests/test_cart.py",)}, "tests"),
        ({"tests": ("tests/test_cart.py",), "base": "--all"}, "base"),
        ({"tests": ("tests/test_cart.py",), "since": "nowhere"}, "since"),
        ({"tests": ("tests/test_cart.py",), "python": "/no/python"}, "python"),
        ({"junit": ("/no/j.xml",)}, "junit"),
    ],
)
async def test_what_cannot_be_used_is_told_by_its_field(
    prefect_api: str, repo: Repo, facts: dict[str, object], field: str
) -> None:
    with pytest.raises((BadInput, NotFound)) as caught:
        await fix_tests(FixAsked.model_validate({"repository": str(repo.folder), **facts}), OPTIONS)
    assert caught.value.details["field"] == field
