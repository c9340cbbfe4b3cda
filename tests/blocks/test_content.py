"""What counts for identity: everything but where a stored file lies."""

import pytest

from blocks.content import content_hash
from blocks.store.files import FileRef
from blocks.transcript import EngineInfo

PLAIN = EngineInfo(
    name="whisper", version="1", model="turbo", settings={"sha256": "abc", "revision": "r", "beam_size": 1}
)


def test_a_stored_file_counts_by_its_hash_wherever_it_lies() -> None:
    here, there = (FileRef(key=key, sha256="f" * 64, size_bytes=3, media_type="audio/wav") for key in ("a", "b"))
    assert content_hash([here]) == content_hash([there])


@pytest.mark.parametrize("changed", [{"beam_size": 5}, {"revision": "s"}, {"sha256": "abd"}, {"new": 1}])
def test_every_setting_of_an_engine_counts_beside_the_hash_of_its_model(changed: dict[str, object]) -> None:
    other = PLAIN.model_copy(update={"settings": PLAIN.settings | changed})
    assert content_hash(other) != content_hash(PLAIN)
