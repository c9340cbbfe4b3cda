"""What is particular to S3: leases, refusals, and the job on it from end to end."""

import time
from pathlib import Path

import pytest

from blocks.errors import StoreFailed
from blocks.settings import settings
from blocks.store import open_store
from blocks.store.lease import lease
from blocks.store.s3 import S3Files

TERM_S = 0.6


def test_a_lease_that_is_not_renewed_is_taken_over(s3_settings: str) -> None:
    files = open_store()
    files.put_if("lease", b'{"owner": "dead", "expires_at": 1}', None)
    with lease(files, "lease", wait=False) as taken:
        assert taken
    assert not files.exists("lease")


def test_a_lease_is_renewed_while_it_is_held(s3_settings: str) -> None:
    files = open_store()
    with lease(files, "lease", wait=False, term_s=TERM_S):
        first = files.read_version("lease")
        deadline = time.monotonic() + 30
        while files.read_version("lease") == first and time.monotonic() < deadline:
            pass
        assert files.read_version("lease") != first
        with lease(files, "lease", wait=False, term_s=TERM_S) as taken:
            assert not taken


def test_a_missing_bucket_is_a_typed_error(s3_settings: str) -> None:
    with pytest.raises(StoreFailed, match="NoSuchBucket"):
        S3Files("no-such-bucket-here", "").put_bytes("x", b"")


def test_an_unreachable_server_is_a_typed_error(s3_settings: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://127.0.0.1:9")
    settings.cache_clear()
    with pytest.raises(StoreFailed, match="S3"):
        S3Files("bucket", "").put_bytes("x", b"")


async def test_a_job_runs_on_s3(s3_settings: str, prefect_api: str, sentence: Path) -> None:
    from flows import process_audio

    result = await process_audio(str(sentence))
    assert result.status == "complete"
    files = open_store()
    assert files.uri("x").startswith("s3://")
    assert files.exists(f"jobs/{result.job_id}/result.json")
    assert await process_audio(str(sentence)) == result
