"""The audio job on real speech, with the engines of a plain machine."""

import asyncio
import json
import shutil
import subprocess
import sys
import wave
from pathlib import Path

import jsonschema
import pytest

from blocks import timeline
from blocks.errors import BadAudio, NotFound, TimedOut, Unsupported
from blocks.job import JobOptions, JobResult
from blocks.settings import settings
from blocks.store import open_store
from blocks.transcript import Transcript
from flows import process_audio
from tests.environment import settings_from

MADE = {
    "source.wav", "audio.wav", "speech.json", "recognised.json",
    "transcript.json", "enhanced.json", "summary.json",
    "transcript.txt", "transcript.srt", "transcript.vtt", "transcript.tsv", "transcript.md",
    "waveform.png", "steps.png", "log.jsonl",
}  # fmt: skip


@pytest.fixture
def computed() -> list[str]:
    """The steps computed by flows of this process, in order."""
    steps: list[str] = []
    timeline.on_step.set(lambda step, ended: None if ended else steps.append(step))
    return steps


@pytest.fixture(scope="module")
def job_of_the_sentence(
    running_prefect_server: str, sentence: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[JobResult, Path]:
    """The job of the sentence, and a store in which it is done: it takes seconds."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    folder = tmp_path_factory.mktemp("done")
    places = {"AUDIO_DIR": str(folder / "store"), "LOG_DIR": str(folder / "logs")}
    with settings_from(places), temporary_settings({PREFECT_API_URL: running_prefect_server}):
        result = asyncio.run(process_audio(str(sentence)))
    return result, folder / "store"


@pytest.fixture
def done(job_of_the_sentence: tuple[JobResult, Path], tmp_path: Path) -> JobResult:
    """The finished job of the sentence, which this test's store holds."""
    result, store = job_of_the_sentence
    shutil.copytree(store, tmp_path / "store")
    return result


def test_speech_becomes_transcript_text_and_summary(done: JobResult) -> None:
    assert done.status == "complete"
    assert set(done.files) == MADE
    transcript = Transcript.model_validate_json(open_store().read_bytes(done.files["transcript.json"].key))
    assert "will call the customer before noon" in transcript.text.replace("\n", " ")
    assert done.summary
    assert done.versions.language and done.versions.language.name == "extractive"
    assert 0 < (done.metrics.asr_confidence_avg or 0) <= 1
    assert 0.5 < (done.metrics.vad_coverage or 0) <= 1


def test_the_stored_result_fits_the_published_schemas(done: JobResult) -> None:
    schemas = Path(__file__).parents[2] / "docs" / "schemas"
    for name in ("result", "transcript", "enhanced", "summary"):
        schema = json.loads((schemas / f"{name}.schema.json").read_text())
        stored = open_store().read_bytes(f"jobs/{done.job_id}/{name}.json")
        jsonschema.validate(json.loads(stored), schema, format_checker=jsonschema.FormatChecker())


async def test_the_same_file_is_computed_once(
    prefect_api: str, done: JobResult, sentence: Path, computed: list[str]
) -> None:
    assert await process_audio(str(sentence)) == done
    assert computed == ["ingest"]


async def test_refresh_computes_again(prefect_api: str, done: JobResult, sentence: Path, computed: list[str]) -> None:
    again = await process_audio(str(sentence), refresh=True)
    assert "transcribe" in computed
    assert again.job_id == done.job_id
    assert again.finished_at > done.finished_at


async def test_another_template_reuses_the_transcript_and_deleting_one_job_leaves_the_other_whole(
    prefect_api: str, done: JobResult, sentence: Path, computed: list[str]
) -> None:
    second = await process_audio(str(sentence), JobOptions(template="interview"))
    assert second.job_id != done.job_id
    assert "summarise" in computed
    assert not {"decode", "detect-speech", "transcribe", "enhance"} & set(computed)
    assert second.files["transcript.json"].key.startswith(f"jobs/{second.job_id}/")
    for key in list(open_store().list(f"jobs/{done.job_id}/")):
        open_store().delete(key)
    assert all(open_store().exists(ref.key) for ref in second.files.values())
    assert (await process_audio(str(sentence))).job_id == done.job_id


@pytest.fixture
def silence(tmp_path: Path) -> Path:
    """Three seconds of digital silence."""
    path = tmp_path / "silence.wav"
    with wave.open(str(path), "wb") as wav:
        wav.setparams((1, 2, 16_000, 0, "NONE", ""))
        wav.writeframes(bytes(2 * 3 * 16_000))
    return path


@pytest.fixture
def long_speech(sentence: Path, tmp_path: Path) -> Path:
    """The sentence forty times over."""
    path = tmp_path / "long.wav"
    with wave.open(str(sentence), "rb") as once, wave.open(str(path), "wb") as wav:
        wav.setparams(once.getparams())
        wav.writeframes(once.readframes(once.getnframes()) * 40)
    return path


async def test_a_result_that_lost_a_file_is_made_whole_again(
    prefect_api: str, done: JobResult, sentence: Path, computed: list[str]
) -> None:
    open_store().delete(done.files["transcript.srt"].key)
    assert set((await process_audio(str(sentence))).files) == MADE
    assert open_store().exists(done.files["transcript.srt"].key)
    assert "transcribe" not in computed


async def test_people_see_progress_summary_and_metrics_in_prefect(prefect_api: str, done: JobResult) -> None:
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        artifacts = {artifact.key: artifact for artifact in await client.read_artifacts(limit=200)}
    assert artifacts["progress-transcribe"].data == 100
    assert "extractive" in str(artifacts[f"summary-{done.job_id}"].data)
    assert "real-time factor" in str(artifacts[f"metrics-{done.job_id}"].data)


async def test_silence_is_a_valid_result_that_says_so(prefect_api: str, silence: Path) -> None:
    result = await process_audio(str(silence))
    assert result.status == "no_speech"
    assert result.summary is None
    assert result.metrics.vad_coverage == 0
    assert "no speech" in open_store().read_bytes(result.files["transcript.md"].key).decode().lower()


async def test_a_failing_language_engine_leaves_the_transcript(
    prefect_api: str, done: JobResult, sentence: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_LANGUAGE_URL", "http://127.0.0.1:9/v1")
    settings.cache_clear()
    from tasks.llm.enhance import enhance_step
    from tasks.llm.summarise import summarise_step

    for step in (enhance_step, summarise_step):
        monkeypatch.setattr(step, "retry_delay_seconds", [0.0, 0.0])
    result = await process_audio(str(sentence), JobOptions(language_engine="openai"))
    assert result.status == "partial"
    assert {notice.step for notice in result.notices} == {"enhance", "summarise"}
    assert "transcript.srt" in result.files


async def test_what_is_no_recording_leaves_nothing_behind(prefect_api: str, tmp_path: Path) -> None:
    fake = tmp_path / "letter.wav"
    fake.write_text("Dear all, this is a letter.")
    with pytest.raises(BadAudio, match=r"letter\.wav"):
        await process_audio(str(fake))
    assert not [key for key in open_store().list() if key.startswith("jobs/")]


async def test_a_missing_file_is_named(prefect_api: str) -> None:
    with pytest.raises(NotFound, match=r"nowhere\.wav"):
        await process_audio("nowhere.wav")


async def test_a_language_nobody_speaks_here_is_refused_before_any_work(
    prefect_api: str, sentence: Path, computed: list[str]
) -> None:
    with pytest.raises(Unsupported, match="vi"):
        await process_audio(str(sentence), JobOptions(language="vi"))
    assert not computed


async def test_a_job_over_its_time_is_stopped(
    prefect_api: str, long_speech: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB_TIMEOUT", "1")
    settings.cache_clear()
    import flows.work

    monkeypatch.setattr(flows.work, "AUDIO_TIME_SHARE", 0.0)
    with pytest.raises(TimedOut, match="longer than"):
        await process_audio(str(long_speech))


@pytest.mark.parametrize(
    "name",
    [
        "two words.wav",
        "Cuộc họp tuần này – đã ghi.wav",
        'it\'s "quoted".wav',
        "two\nlines.wav",
        "-rf.wav",
        "%20#?&.wav",
        "x" * 251 + ".wav",
        "no extension",
    ],
)
async def test_any_file_name_is_taken(prefect_api: str, silence: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    shutil.copyfile(silence, path)
    options = JobOptions(features=("raw_transcript",))
    result = await process_audio(str(path), options)
    assert result.source_name == name
    assert result.status == "no_speech"
    assert await process_audio(path.as_uri(), options) == result


def test_two_processes_share_one_computation(prefect_server: str, sentence: Path) -> None:
    command = [sys.executable, "-m", "tests.flows.run_job", str(sentence)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outcomes = [json.loads(process.communicate(timeout=300)[0].splitlines()[-1]) for process in running]
    computed = [step for outcome in outcomes for step, ended in outcome["boundaries"] if not ended]
    for step in ("decode", "detect-speech", "transcribe", "enhance", "summarise", "export"):
        assert computed.count(step) == 1, step
    assert outcomes[0]["result"] == outcomes[1]["result"]
