"""The file that names SQL databases."""

from pathlib import Path

import pytest

from blocks.databases_file import read_databases
from blocks.errors import BadInput, NotFound

GOOD = """
databases:
  calls:
    url: sqlite:///data/calls.db
    description: calls of the hotline
    trusted: true
  shop:
    url: postgresql://agent_reader@Db.internal:5433/shop?sslmode=require
    password: env:SHOP_PASSWORD
    timeout_s: 30
"""


def test_databases_are_named_with_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "databases.yaml").write_text(GOOD)
    found = read_databases(tmp_path / "databases.yaml")
    calls, shop = found.named("calls"), found.named("shop")
    assert (calls.kind, calls.path(found.folder)) == ("sqlite", tmp_path / "data" / "calls.db")
    assert (shop.kind, shop.place, shop.password) == ("postgresql", "db.internal:5433", "env:SHOP_PASSWORD")
    with pytest.raises(NotFound, match="other"):
        found.named("other")


def test_an_absolute_path_has_four_slashes(tmp_path: Path) -> None:
    (tmp_path / "databases.yaml").write_text("databases: {a: {url: 'sqlite:////srv/a%20b.db'}}")
    found = read_databases(tmp_path / "databases.yaml")
    assert found.named("a").path(found.folder) == Path("/srv/a b.db")


def test_no_file_is_no_database(tmp_path: Path) -> None:
    assert read_databases(tmp_path / "none.yaml").by_name == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("databases: {a: {url: 'postgresql://u:s3cr3t@h/d'}}", "no password belongs here"),
        ("databases: {a: {url: 'postgresql://u@h/d?password=s3cr3t'}}", "no password belongs here"),
        ("databases: {a: {url: 'postgresql://h/d'}}", "here belongs sqlite"),
        ("databases: {a: {url: 'postgresql://u@h:port/d'}}", "databases.a.url"),
        ("databases: {a: {url: 'mysql://u@h/d'}}", "here belongs sqlite"),
        ("databases: {a: {url: 'sqlite:///a.db?mode=rwc'}}", "here belongs sqlite"),
        ("databases: {a: {url: 'sqlite://'}}", "here belongs sqlite"),
        ("databases: {a: {url: 'sqlite:///a.db', password: s3cr3t}}", "never the secret itself"),
        ("databases: {a: {url: 'sqlite:///a.db', pasword: none}}", "did you mean password"),
        ("databases: {A B: {url: 'sqlite:///a.db'}}", "not of the form"),
        ("databases:\n  a: {url: 'sqlite:///a.db'}\n  a: {url: 'sqlite:///b.db'}\n", "it stands here and in line 2"),
    ],
)
def test_what_is_wrong_is_told_without_secrets(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "databases.yaml").write_text(text)
    with pytest.raises(BadInput, match=why) as caught:
        read_databases(tmp_path / "databases.yaml")
    assert caught.value.details["line"] >= 1
    assert "s3cr3t" not in caught.value.message
