"""API keys: what is stored, what is accepted, and many writers at once."""

import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from blocks.errors import BadInput, Conflict, NotAllowed, NotFound, StoreFailed
from blocks.keys import KEYS_FILE, REREAD_S, SHAPE, KeyFile, KeyRing
from blocks.store.local import LocalFiles

STATIC = "0f3c5b8e7a914d26b1c07e5f2a8d4936"


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "store")


@pytest.fixture
def ring(files: LocalFiles) -> KeyRing:
    return KeyRing(files)


def read(ring: KeyRing) -> KeyRing:
    """The ring as a request finds it: read again when it is time."""
    ring.refresh()
    return ring


def fresh(ring: KeyRing) -> KeyRing:
    """The ring as it is once its copy of the keys is too old to be used."""
    ring._read_at = -REREAD_S
    return ring


def test_a_secret_opens_its_own_key(ring: KeyRing) -> None:
    secret, key = ring.create("Ann", ["read"])
    ring.create("Ben", ["read"])
    assert read(ring).check(secret).key_id == key.key_id
    assert SHAPE.fullmatch(secret)
    assert len(secret) >= 32


def test_the_store_holds_no_secret_and_only_its_owner_reads_it(ring: KeyRing, tmp_path: Path) -> None:
    secret, key = ring.create("Ann", ["read"])
    path = tmp_path / "store" / KEYS_FILE
    assert key.key_id in path.read_text()
    assert secret.rsplit("_", 1)[1] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_equal_secrets_would_have_different_hashes(ring: KeyRing) -> None:
    hashed = [one for _ in range(20) for one in ring.create("x", ["read"])[1].secrets]
    assert len({one.salt for one in hashed}) == 20


@pytest.mark.parametrize("change", [str.upper, lambda s: s[:-1], lambda s: s + "A", lambda s: "", lambda s: "é" * 60])
def test_what_is_not_the_secret_is_refused(ring: KeyRing, change) -> None:
    secret, _ = ring.create("Ann", ["read"])
    with pytest.raises(NotAllowed):
        read(ring).check(change(secret))


def test_the_id_of_one_key_with_the_secret_of_another_is_refused(ring: KeyRing) -> None:
    mine, _ = ring.create("Ann", ["read"])
    _, theirs = ring.create("Ben", ["admin"])
    with pytest.raises(NotAllowed):
        read(ring).check(f"c500_{theirs.key_id}_{SHAPE.fullmatch(mine) and mine.split('_', 2)[2]}")


def test_a_revoked_key_is_refused_and_stays_in_the_list(ring: KeyRing) -> None:
    secret, key = ring.create("Ann", ["read"])
    read(ring).check(secret)
    ring.revoke(key.key_id)
    with pytest.raises(NotAllowed, match="revoked"):
        read(fresh(ring)).check(secret)
    assert ring.list()[0].revoked_at
    assert ring.revoke(key.key_id) == ring.list()[0]


def test_after_a_rotation_both_secrets_are_valid_until_the_old_one_ends(ring: KeyRing, files: LocalFiles) -> None:
    old, key = ring.create("Ann", ["submit"], bytes_per_day=7)
    new, rotated = ring.rotate(key.key_id, grace_s=3600)
    assert read(ring).check(old) == read(ring).check(new) == rotated
    assert (rotated.key_id, rotated.bytes_per_day) == (key.key_id, 7)
    ended = [one.model_copy(update={"expires_at": datetime.now(UTC)}) for one in rotated.secrets[:-1]]
    passed = rotated.model_copy(update={"secrets": (*ended, rotated.secrets[-1])})
    files.put_bytes(KEYS_FILE, KeyFile(keys=(passed,)).model_dump_json().encode())
    assert read(fresh(ring)).check(new)
    with pytest.raises(NotAllowed, match="newer"):
        read(ring).check(old)


def test_a_second_rotation_does_not_lengthen_the_life_of_the_first_secret(ring: KeyRing) -> None:
    _, key = ring.create("Ann", ["submit"])
    first_end = ring.rotate(key.key_id, grace_s=60)[1].secrets[0].expires_at
    ring.rotate(key.key_id, grace_s=86_400)
    assert ring.list()[0].secrets[0].expires_at == first_end
    assert first_end and first_end < datetime.now(UTC) + timedelta(seconds=61)


def test_without_grace_the_old_secret_ends_at_once(ring: KeyRing) -> None:
    old, key = ring.create("Ann", ["submit"])
    ring.rotate(key.key_id, grace_s=0)
    with pytest.raises(NotAllowed):
        read(fresh(ring)).check(old)


def test_a_revoked_key_cannot_be_rotated_back_to_life(ring: KeyRing) -> None:
    _, key = ring.create("Ann", ["submit"])
    ring.revoke(key.key_id)
    with pytest.raises(Conflict):
        ring.rotate(key.key_id, grace_s=60)
    with pytest.raises(NotFound):
        ring.revoke("nobody")


def test_admin_includes_submit_and_read_but_not_approve(ring: KeyRing) -> None:
    _, admin = ring.create("Ann", ["admin"])
    assert [admin.may(scope) for scope in ("submit", "read", "admin", "approve")] == [True, True, True, False]
    _, reader = ring.create("Ben", ["read"])
    assert [reader.may(scope) for scope in ("submit", "read", "admin", "approve")] == [False, True, False, False]


def test_another_process_sees_a_change_once_its_copy_is_old(files: LocalFiles) -> None:
    here, there = KeyRing(files), KeyRing(files)
    secret, key = here.create("Ann", ["read"])
    assert read(there).check(secret)
    here.revoke(key.key_id)
    assert not there.stale
    assert read(there).check(secret)  # its copy is less than a second old
    with pytest.raises(NotAllowed):
        read(fresh(there)).check(secret)


CREATE_TEN = """
import sys
from pathlib import Path
from blocks.keys import KeyRing
from blocks.store.local import LocalFiles
ring = KeyRing(LocalFiles(Path(sys.argv[1])))
for number in range(10):
    ring.create(f"{sys.argv[2]}-{number}", ["read"])
"""


def test_many_processes_create_keys_at_once_and_none_is_lost(tmp_path: Path) -> None:
    store = tmp_path / "store"
    writers = [subprocess.Popen([sys.executable, "-c", CREATE_TEN, store, str(number)]) for number in range(4)]
    assert [writer.wait(120) for writer in writers] == [0] * 4
    names = {key.name for key in KeyRing(LocalFiles(store)).list()}
    assert names == {f"{process}-{number}" for process in range(4) for number in range(10)}


def test_the_static_key_has_all_scopes_and_no_limits(files: LocalFiles) -> None:
    key = read(KeyRing(files, SecretStr(STATIC))).check(STATIC)
    assert key.key_id == "static"
    assert all(key.may(scope) for scope in ("submit", "read", "admin", "approve"))
    with pytest.raises(NotAllowed):
        read(KeyRing(files, SecretStr(STATIC))).check(STATIC[:-1] + "7")
    with pytest.raises(NotAllowed):
        read(KeyRing(files)).check(STATIC)


@pytest.mark.parametrize("secret", ["short", "x" * 31, "with a space in it, but long enough to be one", "ü" * 40])
def test_a_static_key_that_is_too_short_or_cannot_be_sent_is_refused(files: LocalFiles, secret: str) -> None:
    with pytest.raises(BadInput, match="SECRET_API_KEY") as refusal:
        KeyRing(files, SecretStr(secret))
    assert secret not in refusal.value.message


def test_a_damaged_file_lets_nobody_in(ring: KeyRing, files: LocalFiles) -> None:
    secret, _ = ring.create("Ann", ["read"])
    files.put_bytes(KEYS_FILE, b'{"keys": [')
    with pytest.raises(StoreFailed):
        read(fresh(ring)).check(secret)


def test_keys_do_not_show_their_hashes(ring: KeyRing) -> None:
    _, key = ring.create("Ann", ["read"])
    assert key.secrets[0].hash not in repr(key)
