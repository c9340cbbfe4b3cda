"""`c500 keys`: made, listed, rotated and withdrawn from the command line."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from blocks.errors import NotAllowed
from blocks.keys import KeyRing
from blocks.store import open_store
from tests.blocks.test_keys import read
from tests.deployments.test_cli import c500


def test_a_secret_is_printed_once_and_opens_its_key() -> None:
    made = c500("keys", "create", "Ann", "--scopes", "read,admin", "--requests-per-min", "9", "--bytes-per-day", "5")
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    key = read(KeyRing(open_store())).check(secret)
    assert (key.name, key.scopes, key.requests_per_min, key.bytes_per_day) == ("Ann", ("read", "admin"), 9, 5)
    listed = c500("keys", "list").stdout + c500("keys", "list", "--json").stdout
    assert key.key_id in listed
    assert secret.split("_", 2)[2] not in listed + made.stderr
    assert key.secrets[0].hash not in listed


def test_json_tells_the_secret_with_its_key() -> None:
    made = json.loads(c500("keys", "create", "Ann", "--json").stdout)
    assert read(KeyRing(open_store())).check(made["secret"]).key_id == made["key_id"]
    assert made["scopes"] == ["submit", "read"]
    assert "secrets" not in made


def test_rotate_gives_a_new_secret_to_the_same_key_and_revoke_ends_both() -> None:
    made = json.loads(c500("keys", "create", "Ann", "--json").stdout)
    rotated = json.loads(c500("keys", "rotate", made["key_id"], "--grace-s", "60", "--json").stdout)
    assert rotated["key_id"] == made["key_id"]
    ring = KeyRing(open_store())
    assert read(ring).check(made["secret"]) == read(ring).check(rotated["secret"])
    assert "revoked" in c500("keys", "revoke", made["key_id"]).stdout
    for secret in (made["secret"], rotated["secret"]):
        with pytest.raises(NotAllowed):
            read(KeyRing(open_store())).check(secret)
    assert c500("keys", "rotate", made["key_id"]).returncode == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("revoke", "nobody"), "no API key nobody"),
        (("rotate", "nobody"), "no API key nobody"),
        (("create", "Ann", "--scopes", "read,everything"), "'everything'"),
        (("create", "Ann", "--scopes", ""), "scope"),
        (("create", "Ann", "--usd-per-day", "inf"), "usd_per_day: here belongs a finite number"),
        (("limit", "nobody", "--usd-per-day", "1"), "no API key nobody"),
        (("limit", "nobody"), "no limit is named"),
        (("limit", "nobody", "--usd-per-day", "much"), "--usd-per-day is 'much'"),
    ],
)
def test_what_cannot_be_is_refused_with_a_fix(arguments: tuple[str, ...], said: str) -> None:
    run = c500("keys", *arguments)
    assert run.returncode == 2
    assert said in run.stderr
    assert "fix:" in run.stderr


def test_limits_of_a_key_are_changed_one_by_one() -> None:
    made = c500("keys", "create", "Ann", "--usd-per-day", "0.02", "--requests-per-min", "9").stdout.strip()
    key = read(KeyRing(open_store())).check(made)
    told = c500("keys", "limit", key.key_id, "--usd-per-day", "5", "--tokens-per-day", "100", "--json")
    assert json.loads(told.stdout)["usd_per_day"] == 5
    assert "any requests/min" in c500("keys", "limit", key.key_id, "--requests-per-min", "none").stdout
    now = read(KeyRing(open_store())).check(made)
    wanted = {"usd_per_day": 5.0, "tokens_per_day": 100, "requests_per_min": None}
    assert now == key.model_copy(update=wanted)


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "1.5"])
def test_a_limit_that_is_none_changes_nothing(value: str) -> None:
    made = json.loads(c500("keys", "create", "Ann", "--tokens-per-day", "7", "--json").stdout)
    run = c500("keys", "limit", made["key_id"], f"--tokens-per-day={value}")
    assert (run.returncode, "tokens_per_day: " in run.stderr) == (2, True), run.stderr
    assert KeyRing(open_store()).list()[0].tokens_per_day == 7
    c500("keys", "revoke", made["key_id"])
    assert c500("keys", "limit", made["key_id"], "--tokens-per-day", "9").returncode == 1


def test_commands_at_the_same_time_lose_no_key() -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda number: c500("keys", "create", f"client {number}"), range(8)))
    assert [run.returncode for run in made] == [0] * 8
    ring = KeyRing(open_store())
    assert len({read(ring).check(run.stdout.strip()).key_id for run in made}) == 8


def test_a_name_cannot_move_the_cursor_of_whoever_lists_it() -> None:
    c500("keys", "create", "Ann\x1b[2J")
    assert "\x1b" not in c500("keys", "list").stdout
