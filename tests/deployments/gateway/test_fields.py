"""Names and fields, without a server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.errors import BadInput
from blocks.store import safe_key
from deployments.gateway.intake.fields import read_form
from deployments.gateway.intake.file_names import MAX_NAME_BYTES, check_format, safe_name
from deployments.gateway.web.problems import UnsupportedFormat


@given(st.text())
def test_every_name_becomes_a_plain_one(given: str) -> None:
    name = safe_name(given)
    assert safe_key(f"uploads/x/{name}") == f"uploads/x/{name}"
    assert "/" not in name
    assert not name.startswith(".")
    assert len(name.encode()) <= MAX_NAME_BYTES + 8 * 4
    assert safe_name(name) == name


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("a.WAV", ""), ("a.m4a", "text/plain"), ("a", ""), ("a", "application/octet-stream"), ("a.bin", "audio/x-new")],
)
def test_what_may_be_a_recording_is_taken(name: str, media_type: str) -> None:
    check_format(name, media_type)


@pytest.mark.parametrize(("name", "media_type"), [("a.txt", ""), ("a.exe", "application/octet-stream"), ("a", "a/b")])
def test_what_is_none_is_not(name: str, media_type: str) -> None:
    with pytest.raises(UnsupportedFormat):
        check_format(name, media_type)


FIELDS = ("features", "template_id", "asr_backend", "enable_vad", "vad_threshold", "language", "hints", "speakers", "x")


@given(st.dictionaries(st.sampled_from(FIELDS), st.lists(st.text(max_size=30), max_size=3)))
def test_fields_are_options_or_a_typed_refusal(fields: dict[str, list[str]]) -> None:
    try:
        asked, _ = read_form(fields)
        asked.options().model_dump_json()
    except BadInput as error:
        assert error.message
        assert error.details["field"]
