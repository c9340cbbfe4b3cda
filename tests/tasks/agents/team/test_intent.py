"""When two changes are the same: rather «no» too often than «yes» once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.agents.team.intent import Intent, is_same

TEXTS = st.text(min_size=1, max_size=40).filter(lambda text: text.strip())


def intent(text: str, *, shared: bool = False) -> Intent:
    verb, _, rest = text.partition(" ")
    return Intent(verb=verb, object=rest, shared=shared)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("restart service web on host-3", "Restart the service  WEB on host-3."),
        ("restart service web", "restart services web"),
        ("drop index orders_by_date", "drop index «orders_by_date»"),
        ("update configuration of nginx", "update configurations of nginx"),
        ("update configuration of nginx", "update configuraton of nginx"),
        ("khởi-động dịch vụ thanh toán", "Khởi-động dịch vụ thanh toán"),
        ("restart ｓervice web", "restart service web"),
        ("re\u200bstart service \u202eweb", "restart service web"),
    ],
)
def test_the_same_change_in_other_words(one: str, other: str) -> None:
    assert is_same(intent(one), intent(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("restart service web", "stop service web"),
        ("enable account ann", "disable account ann"),
        ("restart service web-1", "restart service web-2"),
        ("restart database prod eu", "restart database prod us"),
        ("delete user 17", "delete user 18"),
        ("copy database from a to b", "copy database from b to a"),
        ("scale shard a", "scale shard"),
        ("delete authenticated sessions", "delete unauthenticated sessions"),
        ("delete marina", "delete martina"),
        ("write /srv/web.conf", "write /srv/wep.conf"),
        ("delete .env", "delete env"),
        ("restart service web", "restart service web on host-3"),
        ("báo má", "báo ma"),
    ],
)
def test_another_change(one: str, other: str) -> None:
    assert not is_same(intent(one), intent(other))


def test_what_others_see_is_not_what_only_the_team_sees() -> None:
    assert not is_same(intent("write report"), intent("write report", shared=True))


@given(TEXTS, TEXTS, TEXTS)
def test_it_is_its_own_likeness_and_goes_both_ways(verb: str, one: str, other: str) -> None:
    left, right = (Intent(verb=verb[:200], object=text[:200]) for text in (one, other))
    assert is_same(left, left)
    assert is_same(left, right) == is_same(right, left)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_other_numbers_are_other_things(one: int, other: int) -> None:
    left, right = (Intent(verb="delete", object=f"user {number}") for number in (one, other))
    assert is_same(left, right) == (one == other)
