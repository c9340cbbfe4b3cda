"""Secrets that a file only names."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from blocks.accounts.sealed import new_seal_key, seal
from blocks.errors import BadInput, NotFound
from blocks.secret_reference import SecretReference, secret_at


async def test_each_kind_of_place_is_read(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("DB_PASSWORD", " mật khẩu \n")
    monkeypatch.setenv("C500_SEAL_KEY", new_seal_key())
    seal(tmp_path / "secrets.json", "db", "sealed-one")
    assert await secret_at("env:DB_PASSWORD", tmp_path, "x") == "mật khẩu"
    assert await secret_at("file:secrets.json#db", tmp_path, "x") == "sealed-one"
    assert await secret_at("none", tmp_path, "x") == ""


async def test_a_prefect_block_is_read(prefect_api: str, tmp_path: Path) -> None:
    from prefect.blocks.system import Secret

    await Secret(value="in prefect").asave("db-password", overwrite=True)
    assert await secret_at("prefect:db-password", tmp_path, "x") == "in prefect"
    with pytest.raises(NotFound, match="no-such-block"):
        await secret_at("prefect:no-such-block", tmp_path, "x")


async def test_what_is_not_there_is_told_with_its_field(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("C500_SEAL_KEY", new_seal_key())
    seal(tmp_path / "secrets.json", "db", "x")
    for reference in ("env:NOT_SET_ANYWHERE", "file:secrets.json#other"):
        with pytest.raises(NotFound, match=r"databases\.a\.password") as caught:
            await secret_at(reference, tmp_path, "databases.a.password")
        assert caught.value.details["field"] == "databases.a.password"


async def test_a_secret_of_several_lines_is_refused_and_not_repeated(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("DB_PASSWORD", "s3cr3t\nmore")
    with pytest.raises(BadInput) as caught:
        await secret_at("env:DB_PASSWORD", tmp_path, "x")
    assert "s3cr3t" not in caught.value.message


@pytest.mark.parametrize("text", ["s3cr3t", "env:", "env:A B", "file:x", "prefect:A", "http://x"])
def test_the_secret_itself_is_no_reference(text: str) -> None:
    with pytest.raises(ValidationError, match="never the secret itself"):
        TypeAdapter(SecretReference).validate_python(text)
