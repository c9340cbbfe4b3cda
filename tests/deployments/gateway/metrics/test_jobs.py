"""Results that come into the store are counted once each, with what they say."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import StoreFailed
from blocks.job import JobOptions, JobResult, Metrics, Notice, Versions
from blocks.store import LocalFiles, open_store
from blocks.store.files import Files
from blocks.transcript import EngineInfo
from deployments.gateway.metrics.jobs import FELL_BACK, JobLook
from tests.blocks.store.conftest import moto_url, s3_settings

__all__ = ["moto_url", "s3_settings"]

WHISPER = EngineInfo(name="whisper", version="1")


def put(files: Files, job_id: str, **fields: Any) -> None:
    """A result, as `publish` stores it."""
    metrics = Metrics(
        input_duration_s=60,
        processing_time_s=12,
        step_time_s={"decode": 1.5, "transcribe": 10, "detect-speech": 0},
        rtf=0.2,
        vad_coverage=0.75,
        asr_confidence_avg=0.85,
        edit_rate_cleaning=0.04,
        prompt_tokens=100,
        completion_tokens=20,
        cost_usd=0.5,
        peak_rss_bytes=700_000_000,
    )
    result = JobResult(
        job_id=job_id,
        status=fields.pop("status", "complete"),
        source_name="call.wav",
        options=JobOptions(),
        metrics=fields.pop("metrics", metrics),
        versions=Versions(pipeline="1", speech=WHISPER),
        finished_at=datetime.now(UTC),
        **fields,
    )
    files.put_bytes(f"jobs/{job_id}/result.json", result.model_dump_json().encode())


async def told(look: JobLook) -> dict[tuple[str, ...], float]:
    """What is told: names and label values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in await look.read()
        for sample in family.samples
    }


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "store")


async def test_a_store_without_jobs_has_none(files: LocalFiles) -> None:
    found = await told(JobLook(files))
    assert found["c500_job_stored",] == 0
    assert found["c500_job_results_total", "complete"] == 0
    assert found["c500_job_notices_total", FELL_BACK] == 0, "increase() does not see the first count of a new series"


async def test_what_was_there_before_is_no_news(files: LocalFiles) -> None:
    put(files, "a" * 16)
    look = JobLook(files)
    for _ in range(2):
        found = await told(look)
        assert (found["c500_job_stored",], found["c500_job_results_total", "complete"]) == (1, 0)


async def test_a_result_is_counted_once_with_its_figures(files: LocalFiles) -> None:
    look = JobLook(files)
    await told(look)
    notice = Notice(step="transcribe", code=FELL_BACK, message="")
    put(files, "a" * 16, status="partial", notices=(notice,))
    for _ in range(2):
        found = await told(look)
    assert found["c500_job_results_total", "partial"] == 1
    assert found["c500_job_engines_total", "speech", "whisper"] == 1
    assert found["c500_job_audio_seconds_total",] == 60
    assert found["c500_job_seconds_sum",] == 12
    assert found["c500_job_step_seconds_sum", "transcribe"] == 10
    assert ("c500_job_step_seconds_count", "detect-speech") not in found  # it was found done
    assert found["c500_job_real_time_ratio_sum", "whisper"] == 0.2
    assert found["c500_job_confidence_ratio_bucket", "whisper", "0.8"] == 0
    assert found["c500_job_confidence_ratio_bucket", "whisper", "0.9"] == 1
    assert found["c500_job_speech_ratio_sum",] == 0.75
    assert found["c500_job_edit_ratio_sum",] == 0.04
    assert found["c500_job_peak_memory_bytes_sum",] == 7e8
    assert found["c500_job_notices_total", FELL_BACK] == 1
    assert found["c500_job_tokens_total", "prompt"] == 100
    assert found["c500_job_cost_usd_total",] == 0.5


async def test_a_job_at_work_is_counted_when_its_result_is_there(files: LocalFiles) -> None:
    files.put_bytes(f"jobs/{'b' * 16}/audio.wav", b"")
    look = JobLook(files)
    assert (await told(look))["c500_job_stored",] == 0
    put(files, "b" * 16)
    assert (await told(look))["c500_job_results_total", "complete"] == 1


async def test_figures_that_are_not_known_are_left_out(files: LocalFiles) -> None:
    look = JobLook(files)
    await told(look)
    put(files, "c" * 16, metrics=Metrics(input_duration_s=0, processing_time_s=1))
    found = await told(look)
    assert found["c500_job_results_total", "complete"] == 1
    assert ("c500_job_real_time_ratio_count", "whisper") not in found
    assert found["c500_job_speech_ratio_count",] == 0


async def test_a_result_that_cannot_be_read_is_counted_as_that(files: LocalFiles) -> None:
    look = JobLook(files)
    await told(look)
    files.put_bytes(f"jobs/{'d' * 16}/result.json", b'{"job_id": 1')
    found = await told(look)
    assert (found["c500_job_unreadable_total",], found["c500_job_results_total", "complete"]) == (1, 0)


async def test_results_that_expire_are_not_there_any_more_and_stay_counted(files: LocalFiles) -> None:
    look = JobLook(files)
    await told(look)
    put(files, "e" * 16)
    await told(look)
    files.delete(f"jobs/{'e' * 16}/result.json")
    found = await told(look)
    assert (found["c500_job_stored",], found["c500_job_results_total", "complete"]) == (0, 1)


class FailingFiles(LocalFiles):
    """A store that answers so many reads, and then none."""

    reads_left = 0

    def read_bytes(self, key: str) -> bytes:
        if self.reads_left == 0:
            raise StoreFailed("the store does not answer", fix="wait")
        self.reads_left -= 1
        return super().read_bytes(key)


async def test_what_was_counted_before_the_store_went_away_is_not_counted_again(tmp_path: Path) -> None:
    files = FailingFiles(tmp_path / "store")
    look = JobLook(files)
    await told(look)
    for letter in "abcd":
        put(files, letter * 16)
    files.reads_left = 2
    with pytest.raises(StoreFailed):
        await told(look)
    files.reads_left = 4
    assert (await told(look))["c500_job_results_total", "complete"] == 4


@pytest.mark.usefixtures("s3_settings")
async def test_of_a_bucket_it_is_the_same() -> None:
    files = open_store()
    look = JobLook(files)
    put(files, "a" * 16)
    await told(look)
    put(files, "b" * 16)
    found = await told(look)
    assert (found["c500_job_stored",], found["c500_job_results_total", "complete"]) == (2, 1)
