"""Every place that the product writes to is in the inventory: a new one must be thought about."""

import re
from collections.abc import Iterator
from pathlib import Path

from blocks.accounts.schema import TABLES
from blocks.rows.report import FOLDERS
from tasks.personal_data.inventory import holders, inventory_markdown

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs" / "personal-data.md"

CONSTANT = re.compile(r'^([A-Z_]+)(?:: [^=]+)? = (?:HOME / )?f?"([^"]+)"', re.M)
USED = re.compile(r'f"\{([A-Z_]+)\}/')
WRITTEN = r"(?:put_bytes|put_file|put_if|keep_report)\(|(?:folder|key) = |return (?:safe_key\()?"
LITERAL = re.compile(rf'(?:{WRITTEN})f?"([a-z][a-z.-]*)/')
RECORDS = re.compile(r'Records\(\w+, "([a-z-]+)"')
AT_HOME = re.compile(r'(?:home|private_folder\([^,]+agents_home)(?:\.expanduser\(\))?\)?(?:,| /) "([a-z.-]+)"')
OWN_FOLDER = re.compile(r'agents_home(?:\.expanduser\(\))? / "([a-z.-]+)"')

NOT_OF_OURS = {".kube", "profiles.toml"}
"""Of the home of a user, or of Prefect."""


def sources() -> Iterator[tuple[Path, str]]:
    for folder in ("blocks", "tasks", "flows", "deployments"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path, path.read_text()


def covered(kind: str) -> set[str]:
    return {one.removeprefix(f"{kind}:") for holder in holders() for one in holder.covers if one.startswith(kind)}


def store_prefixes() -> set[str]:
    """First parts of keys, by the constants and texts that keys are made of."""
    constants = {name: value for _, text in sources() for name, value in CONSTANT.findall(text)}
    found: set[str] = set()
    for _, text in sources():
        if "put_bytes" not in text and "put_if" not in text and "put_file" not in text and "files" not in text:
            continue
        own = dict(CONSTANT.findall(text))
        names = (own.get(name, constants.get(name, "")) for name in USED.findall(text))
        found |= {value.split("/")[0] for value in names if re.fullmatch(r"[a-z][a-z/-]*", value)}
        found |= {*LITERAL.findall(text), *RECORDS.findall(text)}
    return found


def test_every_prefix_of_the_store_has_a_holder() -> None:
    assert store_prefixes() > {"jobs", "batches", "agents", "operations", "approvals", "quality"}
    assert store_prefixes() - covered("store") - covered("home") == set()
    assert set(FOLDERS.values()) <= covered("store")


def test_every_folder_of_agents_home_has_a_holder() -> None:
    found = {name for _, text in sources() for name in (*AT_HOME.findall(text), *OWN_FOLDER.findall(text))}
    assert found > {"runs", "results", "effects", "trash", "memory", "cases", "sessions", "policy"}
    assert found - covered("home") - NOT_OF_OURS == set()


def test_every_table_of_the_books_has_a_holder() -> None:
    assert set(TABLES.tables) == covered("table")


def test_names_of_holders_differ_and_each_says_why_it_does_not_erase() -> None:
    names = [one.name for one in holders()]
    assert len(set(names)) == len(names)
    assert all(one.erased is True or len(str(one.erased)) > 10 for one in holders())
    assert all(one.exported is True or len(str(one.exported)) > 10 for one in holders())


def test_the_documentation_has_the_table_as_it_is() -> None:
    assert inventory_markdown() in DOCS.read_text()
