"""Manifests: what they promise about a folder."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from blocks.errors import StoreFailed
from blocks.models.manifest import MANIFEST, Manifest, ModelFile, describe, digest, read_manifest, write_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of two files, one in a folder of its own."""
    folder = tmp_path / "org--model"
    (folder / "onnx").mkdir(parents=True)
    (folder / "config.json").write_bytes(b"{}")
    (folder / "onnx" / "model.bin").write_bytes(bytes(3_000_000))
    return folder


def manifest_of(folder: Path) -> Manifest:
    paths = ("onnx/model.bin", "config.json")
    return describe("m", "org/model", "abc", {path: digest(folder / path) for path in paths}, datetime.now(UTC))


def test_hashes_are_those_of_sha256sum_and_git(tmp_path: Path) -> None:
    (tmp_path / "hello").write_bytes(b"hello\n")
    found = digest(tmp_path / "hello")
    assert found.sha256 == "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    assert found.git_sha1 == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_a_written_manifest_is_read_back_and_fits_its_folder(folder: Path) -> None:
    manifest = manifest_of(folder)
    write_manifest(folder, manifest)
    assert read_manifest(folder) == manifest
    assert manifest.verify(folder) == []
    assert manifest.size_bytes == 3_000_002


def test_each_problem_is_named(folder: Path) -> None:
    manifest = manifest_of(folder)
    (folder / "config.json").unlink()
    (folder / "onnx" / "model.bin").write_bytes(b"short")
    assert manifest.verify(folder) == ["config.json: missing", "onnx/model.bin: has 5 bytes instead of 3,000,000"]


def test_one_changed_bit_is_found_though_the_size_fits(folder: Path) -> None:
    manifest = manifest_of(folder)
    with (folder / "onnx" / "model.bin").open("r+b") as stream:
        stream.seek(2_500_000)
        stream.write(b"\x01")
    assert manifest.verify(folder) == ["onnx/model.bin: its content has changed"]


def test_the_hash_is_over_names_and_contents_whatever_the_order() -> None:
    one, two = (ModelFile(path=path, size_bytes=1, sha256=letter * 64) for path, letter in (("a", "1"), ("b", "2")))
    base = {"name": "m", "repo": "o/m", "revision": "r", "pulled_at": datetime.now(UTC)}
    assert Manifest(**base, files=(one, two)).sha256 == Manifest(**base, files=(two, one)).sha256
    renamed = one.model_copy(update={"path": "c"})
    assert Manifest(**base, files=(one, two)).sha256 != Manifest(**base, files=(renamed, two)).sha256


@pytest.mark.parametrize("path", ["../escape", "/etc/passwd", "a/../../b", "", ".", "a\\b", "a\0b", MANIFEST])
def test_a_path_cannot_leave_the_folder(path: str) -> None:
    with pytest.raises(ValidationError):
        ModelFile(path=path, size_bytes=0, sha256="0" * 64)


def test_no_manifest_is_none_and_a_damaged_one_an_error(folder: Path) -> None:
    assert read_manifest(folder) is None
    assert read_manifest(folder / "nowhere") is None
    (folder / MANIFEST).write_text('{"name": "m"')
    with pytest.raises(StoreFailed, match="damaged"):
        read_manifest(folder)
