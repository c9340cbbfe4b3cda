"""Our own rules, on changes of real repositories."""

from collections.abc import Callable
from typing import Any

import pytest

from tasks.ops.change.config import Mapping, ReviewRules
from tasks.ops.change.diff import ChangedFile
from tasks.ops.change.file_rules import file_findings
from tasks.ops.change.looked_at import Change

TOKEN = "ghp_" + "a1B2" * 9

CASES: list[tuple[str, str, str, int | None, str]] = [
    ("conflict-marker", "a.txt", "one\n<<<<<<< HEAD\n", 2, "critical"),
    ("debugger", "a.py", "x = 1\nbreakpoint()\n", 2, "high"),
    ("debugger", "a.js", "debugger;\n", 1, "high"),
    ("debug-output", "a.py", "print('x')\n", 1, "low"),
    ("debug-output", "a.ts", "  console.log(x)\n", 1, "low"),
    ("focused-test", "a.test.js", "it.only('x', () => {})\n", 1, "high"),
    ("swallowed-exception", "A.java", "try { f(); } catch (Exception e) { }\n", 1, "medium"),
    ("swallowed-exception", "a.py", "try:\n    f()\nexcept ValueError:\n    pass\n", 3, "medium"),
    ("swallowed-exception", "a.py", "try:\n    f()\nexcept Exception:\n    ...\n", 3, "high"),
    ("todo-without-issue", "a.go", "// TODO: later\n", 1, "low"),
    ("verification-off", "a.py", "get(url, verify=False)\n", 1, "high"),
    ("secret", "a.py", f"token = '{TOKEN}'\n", 1, "critical"),
    ("secret", "k.pem", "-----BEGIN PRIVATE KEY-----\nMIIabc\n", 1, "critical"),
    ("unreadable", "a.json", '{"a": 1,}\n', 1, "high"),
    ("unreadable", "a.yaml", "a: [1\nb: 2\n", 2, "high"),
    ("unreadable", "a.toml", "a = \n", 1, "high"),
    ("unreadable", "a.py", "def f(:\n", 1, "high"),
    (
        "migration-without-rollback",
        "db/versions/1.py",
        "def upgrade():\n    go()\n\ndef downgrade():\n    pass\n",
        1,
        "medium",
    ),
    ("migration-without-rollback", "db/migrations/1.up.sql", "ALTER TABLE a ADD b int;\n", 1, "medium"),
    ("migration-without-rollback", "db/migration/V2__x.sql", "ALTER TABLE a ADD b int;\n", 1, "medium"),
    ("destructive-migration", "db/migrations/2.sql", "SELECT 1;\nDROP TABLE a;\n", 2, "high"),
    ("missing-tests", "shop/cart.py", "x = 1\n\ndef total(prices):\n    return sum(prices)\n", 3, "medium"),
]


@pytest.mark.parametrize(("rule", "path", "text", "line", "severity"), CASES)
async def test_a_rule_finds_its_line(
    found: Callable[..., Any], rule: str, path: str, text: str, line: int | None, severity: str
) -> None:
    findings = await found({}, {path: text})
    assert (rule, path, line, severity) in [(one.rule, one.file, one.line, one.severity) for one in findings]


WELL: dict[str, str] = {
    "a.py": "def _f():\n    try:\n        g()\n    except ValueError:\n        told()\n        raise\n",
    "b.go": "// TODO(#12): later\n",
    "scripts/c.py": "print('made')\n",
    "tests/test_d.py": "def test_d():\n    print(1)\n",
    "e.json": '{"a": 1}\n',
    "f.yaml": "a: &x 1\nb: *x\nc: !Ref d\n",
    "g/templates/h.yaml": "a: {{ .Values.a }}\n",
    "db/versions/1.py": "def upgrade():\n    go()\n\n\ndef downgrade():\n    back()\n",
    "db/migrations/1.up.sql": "ALTER TABLE a ADD b int;\n",
    "db/migrations/1.down.sql": "ALTER TABLE a DROP b;\n",
    "i.txt": "=======\n",
}


async def test_what_is_well_is_left_alone(found: Callable[..., Any]) -> None:
    findings = await found({}, dict(WELL))
    assert [(one.rule, one.file) for one in findings if one.rule != "missing-tests"] == []


async def test_old_lines_are_nobodys_fault(found: Callable[..., Any]) -> None:
    old = "breakpoint()\ntry:\n    f()\nexcept ValueError:\n    pass\n"
    findings = await found({"a.py": old, "b.json": "{"}, {"a.py": old + "x = 1\n", "b.json": "{{"})
    assert findings == []


async def test_a_secret_is_told_by_its_kind_only(found: Callable[..., Any]) -> None:
    findings = await found({}, {"a.py": f"token = '{TOKEN}'\n"})
    assert all(TOKEN not in one.model_dump_json() for one in findings)


CODE = "def total(prices):\n    return sum(prices)\n"


async def test_a_test_that_changes_along_is_seen(found: Callable[..., Any]) -> None:
    other = {"shop/cart.py": CODE.replace("sum", "max")}
    rules = [one.rule for one in await found({"shop/cart.py": CODE}, other)]
    assert rules == ["missing-tests"]
    for path, text in (("tests/shop/test_cart.py", "x = 1\n"), ("tests/test_all.py", "assert total([1]) == 1\n")):
        again = {"shop/cart.py": CODE.replace("sum", path), path: text}
        assert "missing-tests" not in [one.rule for one in await found({"shop/cart.py": CODE}, again)]


async def test_docstrings_and_comments_need_no_test(found: Callable[..., Any]) -> None:
    other = 'def total(prices):\n    """What they cost."""\n    # all\n    return sum(prices)\n'
    assert await found({"shop/cart.py": CODE}, {"shop/cart.py": other}) == []


async def test_another_signature_wants_docs(found: Callable[..., Any]) -> None:
    other = CODE.replace("prices)", "prices, tax=0)", 1)
    findings = await found({"shop/cart.py": CODE}, {"shop/cart.py": other, "tests/test_cart.py": "x = 1\n"})
    assert [(one.rule, one.line) for one in findings] == [("missing-docs", 1)]
    told = {"shop/cart.py": CODE + "\n", "tests/test_cart.py": "x = 2\n", "docs/cart.md": "tax\n"}
    assert await found({"shop/cart.py": other}, told) == []


async def test_own_mappings_of_paths_decide(found: Callable[..., Any]) -> None:
    rules = ReviewRules(tests=(Mapping(source="shop/*", needs=("checks/{stem}_check.py",)),))
    new = CODE.replace("sum", "min")
    findings = await found({"shop/cart.py": CODE}, {"shop/cart.py": new, "tests/test_cart.py": "x = 1\n"}, rules)
    assert [one.rule for one in findings] == ["missing-tests"]
    other = {"shop/cart.py": CODE, "checks/cart_check.py": "x = 1\n"}
    assert await found({"shop/cart.py": new}, other, rules) == []


async def test_lock_files_and_manifests_go_together(found: Callable[..., Any]) -> None:
    before = {"package.json": '{"dependencies": {"a": "1.0.0"}}\n', "package-lock.json": "{}\n"}
    newer = '{"dependencies": {"a": "1.1.0"}}\n'
    assert [one.rule for one in await found(before, {"package.json": newer})] == ["lock-file-stale"]
    assert [one.rule for one in await found(before, {"package-lock.json": '{"a": 1}\n'})] == ["lock-file-alone"]
    assert await found(before, {"package.json": newer, "package-lock.json": '{"a": 2}\n'}) == []


async def test_a_large_file_is_told(found: Callable[..., Any]) -> None:
    findings = await found({}, {"big.bin": b"\0" * 2_000_000})
    assert [(one.rule, one.file) for one in findings] == [("large-file", "big.bin")]


def test_a_link_that_leads_outside_is_told() -> None:
    link = {"status": "added", "mode": "120000"}
    out = ChangedFile(path="a", added={1: "../../etc/passwd"}, **link)  # type: ignore[arg-type]
    inside = ChangedFile(path="b", added={1: "a.py"}, **link)  # type: ignore[arg-type]
    assert [(one.rule, one.file) for one in file_findings(Change((out, inside)))] == [("link-outside", "a")]


async def test_ignored_paths_are_not_looked_at(found: Callable[..., Any]) -> None:
    rules = ReviewRules(ignore=("generated/*",))
    assert await found({}, {"generated/a.py": "breakpoint()\n"}, rules) == []
