"""Both stores, behind one fixture; S3 is moto's server on loopback (no real S3 is at hand)."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from blocks.settings import settings
from blocks.store import Files, LocalFiles, open_store


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """The address of a running S3 server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_settings(moto_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Settings for a fresh bucket on the server; returns its name."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "S3_ENDPOINT_URL": moto_url,
    }.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{abs(hash(tmp_path))}"
    boto3.client("s3", endpoint_url=moto_url).create_bucket(Bucket=bucket)
    monkeypatch.setenv("STORE_URL", f"s3://{bucket}/c500")
    settings.cache_clear()
    return bucket


@pytest.fixture(params=["local", "s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """An open, empty store of each kind."""
    if request.param == "local":
        return LocalFiles(tmp_path / "files")
    request.getfixturevalue("s3_settings")
    return open_store()
