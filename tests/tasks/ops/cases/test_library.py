"""Cases: kept once, found by what they say, gone when they are removed."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import BadInput, NotFound
from blocks.redact import default_redactor
from blocks.settings import settings
from blocks.store import open_store
from tasks.ops.cases.case import Case, CaseFacts, case_of, read_case
from tasks.ops.cases.library import CaseLibrary, open_library

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)

DISK = {
    "title": "Orders were refused: the disk of db-1 was full",
    "services": ["orders"],
    "alerts": ["DiskFull"],
    "symptoms": "could not write to file: No space left on device",
    "cause": "WAL archiving had stopped for two days",
    "resolution": "archiving restarted, old segments removed",
}
CERTIFICATE = {
    "title": "Payments failed: a certificate had expired",
    "services": ["payments"],
    "symptoms": "x509: certificate has expired or is not yet valid",
    "cause": "nobody was told that renewal failed",
}


def case(facts: dict[str, Any], at: datetime = NOW) -> Case:
    return case_of(CaseFacts.model_validate(facts), added_at=at, added_by="ann", redactor=default_redactor())


@pytest.fixture
def library() -> Iterator[CaseLibrary]:
    opened = open_library()
    yield opened
    opened.close()


async def ids(library: CaseLibrary, question: str) -> list[str]:
    return [one.case.case_id for one in await library.search(question)]


async def test_a_case_is_found_by_its_words_and_by_words_like_them(library: CaseLibrary) -> None:
    disk, certificate = library.put(case(DISK)), library.put(case(CERTIFICATE))
    assert (await ids(library, "no space left on device"))[0] == disk.case_id
    assert (await ids(library, "expired certificates"))[0] == certificate.case_id
    assert await ids(library, "zebra quagga okapi") == []


async def test_the_same_facts_are_one_case_and_a_changed_case_is_found_as_it_is_now(library: CaseLibrary) -> None:
    first = library.put(case(DISK | {"incident": "inc-1"}))
    again = library.put(case(DISK | {"incident": "inc-1", "cause": "a runaway vacuum"}, NOW + timedelta(hours=1)))
    assert first.case_id == again.case_id == "case-inc-1"
    assert library.ids() == ["case-inc-1"]
    [found] = await library.search("runaway vacuum")
    assert found.case == again
    assert case(DISK).case_id == case(DISK, NOW + timedelta(days=1)).case_id


async def test_a_removed_case_is_found_by_nobody(library: CaseLibrary) -> None:
    kept, other = library.put(case(DISK)), open_library()
    assert await ids(other, "disk full") == [kept.case_id]
    await library.remove(kept.case_id)
    assert await ids(library, "disk full") == await ids(other, "disk full") == []
    with pytest.raises(NotFound):
        library.read(kept.case_id)
    other.close()


async def test_an_index_that_is_lost_is_made_again(library: CaseLibrary) -> None:
    kept = library.put(case(DISK))
    assert await ids(library, "disk full") == [kept.case_id]
    library.close()
    for file in (settings().agents_home / "cases").iterdir():
        file.unlink()
    anew = open_library()
    assert await ids(anew, "disk full") == [kept.case_id]
    anew.close()


async def test_several_machines_that_look_at_once_index_a_case_once(library: CaseLibrary) -> None:
    kept, others = library.put(case(DISK)), [open_library() for _ in range(4)]
    assert await asyncio.gather(*(ids(one, "disk full") for one in others)) == [[kept.case_id]] * 4
    for one in others:
        one.close()


def test_secrets_are_not_kept(library: CaseLibrary) -> None:
    told = library.put(case(DISK | {"symptoms": "login with password=hunter2hunter2 failed"}))
    assert "hunter2" not in library.read(told.case_id).model_dump_json()


@pytest.mark.parametrize("wrong", ["../../x", "", "A", "a\nb", "a" * 81])
def test_an_id_is_an_id(library: CaseLibrary, wrong: str) -> None:
    with pytest.raises(BadInput):
        library.find(wrong)


def test_what_is_wrong_in_a_file_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "case.yaml"
    file.write_text("title: x\nsymptons: y\n")
    with pytest.raises(BadInput) as raised:
        read_case(file)
    assert raised.value.details["line"] == 2 and "symptons" in raised.value.message


async def test_a_case_that_is_damaged_hides_no_other(library: CaseLibrary) -> None:
    kept = library.put(case(DISK))
    open_store().put_bytes("operations/cases/case-x/20260101T000000.000000.json", b"\xff no case")
    assert await ids(library, "disk full") == [kept.case_id]
    [why] = library.unread
    assert "case-x" in why


async def test_a_case_that_is_damaged_can_be_removed_and_is_named_in_lists(library: CaseLibrary) -> None:
    kept = library.put(case(DISK))
    open_store().put_bytes("operations/cases/case-x/20260101T000000.000000.json", b"\xff no case")
    assert list(library.every()) == [kept]
    [why] = library.unread
    assert "case-x" in why
    await library.remove("case-x")
    assert library.ids() == [kept.case_id]
    with pytest.raises(NotFound):
        await library.remove("case-x")


def test_a_date_without_a_zone_is_one_of_utc() -> None:
    assert case(DISK | {"began_at": "2026-01-01"}).began_at == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("wrong", ["INC 42", "../x", "a" * 76])
def test_an_incident_that_could_name_no_case_is_refused_with_its_line(wrong: str, tmp_path: Path) -> None:
    file = tmp_path / "case.yaml"
    file.write_text(f"title: x\nincident: {wrong}\n")
    with pytest.raises(BadInput) as raised:
        read_case(file)
    assert raised.value.details["line"] == 2


def test_a_case_that_grows_when_secrets_are_taken_out_is_cut(library: CaseLibrary) -> None:
    told = library.put(case(DISK | {"cause": ("password=hunter22 " * 400)[:4000]}))
    assert len(told.cause) == 4000 and "hunter22" not in told.cause
