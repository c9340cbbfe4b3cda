"""Finished jobs in a store as a real service leaves them, from a seed; and planted faults."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from blocks.audio import AudioInfo, Span, Speech
from blocks.job import JobOptions, JobResult, Metrics, Versions
from blocks.store.files import FileRef, Files
from blocks.transcript import EngineInfo, Segment, Transcript, Word

DAY = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday that is over: a result in the store is never older than its file."""
PRICE_USD = (0.4e-6, 1.6e-6)
"""Of a token of input and of output, as the accounts of `ACCOUNTS` have it."""

ACCOUNTS = """
accounts:
  - name: first
    provider: openai
    base_url: http://127.0.0.1:9/v1
    key: env:NO_KEY
    models:
      small: {price: {input_usd: 0.4, output_usd: 1.6}}
"""

ENGLISH = """we will call the customer before noon and send the new offer to the whole team
i think that the budget for the next quarter is not what we had in mind
can you tell me when the report is going to be ready for the meeting
there was a problem with the server and it took us some time to find out
the plan is to have all of this done by the end of the week at the latest
maria has written to them about the delay and they have not answered yet
what they want is a price that is lower than the one from last year
if you can be there on friday we would like to show you what has been done
my colleague and i are on the same floor so that should be easy to arrange
please look at the numbers on page four which do not add up at all""".splitlines()

VIETNAMESE = """chúng ta sẽ gọi cho khách hàng trước buổi trưa và gửi báo giá mới cho cả nhóm
tôi nghĩ là ngân sách của quý sau không giống như những gì mình đã nói
anh có thể cho em biết khi nào báo cáo được làm xong không ạ
có một vấn đề với máy chủ và nhóm phải mất thời gian để tìm ra
kế hoạch là làm xong tất cả những việc này trong tuần này""".splitlines()

WORDS = {"en": ENGLISH, "vi": VIETNAMESE}

SUMMARY = {
    "title": "Weekly meeting",
    "summary": "The team talked about the offer, the budget and the delay.",
    "key_points": ["The offer goes out before noon."],
    "decisions": [],
    "action_items": [{"who": "Maria", "what": "call the customer", "when": "before noon"}],
    "tags": ["offer", "budget"],
}


@dataclass
class Stored:
    """A finished job before it is written; a fault changes it.

    Attributes:
        result: What `result.json` will say, without the files.
        transcript: What `transcript.json` will say.
        speech: What `speech.json` will say.
        wav_bytes: Size of `audio.wav`.
    """

    result: dict[str, Any]
    transcript: dict[str, Any]
    speech: dict[str, Any]
    wav_bytes: int
    files: list[str] = field(default_factory=lambda: ["transcript.json", "speech.json"])


Fault = Callable[[Stored], None]


def jobs(seed: int, number: int, day: datetime = DAY, *, minutes: float = 1.0) -> Iterator[Stored]:
    """So many jobs that were finished on a day; nothing is wrong with them."""
    chance = random.Random(f"{seed}/{day.isoformat()}")
    for index in range(number):
        yield _job(chance, f"{chance.getrandbits(64):016x}", day + timedelta(seconds=86_000 * index / number), minutes)


def write(files: Files, stored: Stored) -> str:
    """Put a job into the store; its id."""
    for key, content in contents(stored).items():
        files.put_bytes(key, content)
    return stored.result["job_id"]


def contents(stored: Stored) -> dict[str, bytes]:
    """The files of a job by their names in the store, `result.json` last."""
    folder, made, refs = f"jobs/{stored.result['job_id']}", dict[str, bytes](), dict[str, FileRef]()
    for name, content in (("transcript.json", stored.transcript), ("speech.json", stored.speech)):
        if name in stored.files:
            made[f"{folder}/{name}"] = json.dumps(content).encode()
            refs[name] = FileRef(key=f"{folder}/{name}", sha256="0" * 64, size_bytes=1)
    wav = FileRef(key=f"{folder}/audio.wav", sha256="0" * 64, size_bytes=stored.wav_bytes)
    result = JobResult.model_validate(stored.result | {"files": refs | {"audio.wav": wav}})
    made[f"{folder}/source.wav"] = b"a recording"
    made[f"{folder}/result.json"] = result.model_dump_json(indent=2).encode()
    return made


def fill(
    files: Files, seed: int, number: int, day: datetime = DAY, fault: Fault | None = None, share: float = 1
) -> None:
    """Put a day of jobs into the store, a share of them with a fault."""
    for index, stored in enumerate(jobs(seed, number, day)):
        if fault is not None and index < number * share:
            fault(stored)
        write(files, stored)


def accounts_file(folder: Path) -> Path:
    """An `accounts.yaml` with the price that the jobs paid."""
    path = folder / "accounts.yaml"
    path.write_text(ACCOUNTS)
    return path


def shift_times(stored: Stored) -> None:
    """Every time of the transcript seven seconds late."""
    for segment in stored.transcript["segments"]:
        for part in (segment, *segment["words"]):
            part["start_s"] += 7.0
            part["end_s"] += 7.0


def repeat_phrases(stored: Stored) -> None:
    """The second half of the segments says the same."""
    segments = stored.transcript["segments"]
    for segment in segments[len(segments) // 2 :]:
        segment["text"] = segments[0]["text"]


def speak_otherwise(stored: Stored) -> None:
    """The transcript is in another language than it says."""
    stored.result["language"] = stored.transcript["language"] = "vi" if stored.result["language"] == "en" else "en"


def truncate_audio(stored: Stored) -> None:
    """The container claims a recording twice as long."""
    stored.result["audio"]["duration_s"] = 2 * stored.result["metrics"]["input_duration_s"]


def double_cost(stored: Stored) -> None:
    """The job's cost was counted twice."""
    stored.result["metrics"]["cost_usd"] *= 2


def empty_text(stored: Stored) -> None:
    """The segments hold no words."""
    for segment in stored.transcript["segments"]:
        segment["text"] = "…"


def break_off(stored: Stored) -> None:
    """The transcript ends in the middle of the recording."""
    stored.transcript["segments"] = stored.transcript["segments"][: len(stored.transcript["segments"]) // 2]


def lose_file_end(stored: Stored) -> None:
    """The decoded file lacks its last fifth."""
    stored.wav_bytes = round(0.8 * stored.wav_bytes)


def empty_summary(stored: Stored) -> None:
    """The summary lacks fields that its template asks for."""
    stored.result["summary"] = {"title": "Weekly meeting"}


def _job(chance: random.Random, job_id: str, finished_at: datetime, minutes: float) -> Stored:
    language = "vi" if chance.random() < 0.2 else "en"
    spans, segments = _talk(chance, language, minutes * chance.lognormvariate(0, 0.4))
    duration_s = spans[-1].end_s + chance.uniform(0.5, 6)
    speech = Speech(
        duration_s=duration_s,
        spans=tuple(spans),
        coverage=sum(span.duration_s for span in spans) / duration_s,
    )
    engine = EngineInfo(name="whisper", version="1.2.1", model="small")
    transcript = Transcript(language=language, segments=tuple(segments), engine=engine, duration_s=duration_s)
    result = JobResult(
        job_id=job_id,
        status="complete",
        source_name="call.wav",
        source=FileRef(key=f"jobs/{job_id}/source.wav", sha256="0" * 64, size_bytes=11),
        audio=AudioInfo(
            duration_s=duration_s * chance.uniform(0.999, 1.001) if chance.random() < 0.9 else None,
            sample_rate_hz=8000,
            channels=1,
            codec="pcm_s16le",
            container="wav",
            media_type="audio/wav",
        ),
        options=JobOptions(language=language if chance.random() < 0.5 else None, engine="whisper"),
        language=language,
        removed=int(chance.random() < 0.1),
        summary=SUMMARY | {"decisions": ["We go on."] if chance.random() < 0.5 else []},
        metrics=_metrics(chance, speech, segments),
        versions=Versions(
            pipeline="1.0",
            speech=engine,
            language=EngineInfo(name="pool", version="1", model="small", settings={"enhance_model": "small"}),
            template="meeting_notes",
        ),
        finished_at=finished_at,
    )
    wav_bytes = 44 + 2 * round(16_000 * duration_s)
    return Stored(result.model_dump(), transcript.model_dump(), speech.model_dump(), wav_bytes)


def _talk(chance: random.Random, language: str, minutes: float) -> tuple[list[Span], list[Segment]]:
    """Turns of speech with pauses between, a segment each, no sentence twice in a row."""
    at, spans, segments = chance.uniform(0, 3), list[Span](), list[Segment]()
    while at < minutes * 60 or not segments:
        words = _sentence(chance, language)
        each = chance.uniform(0.28, 0.42)
        end = at + each * len(words)
        times = [(at + each * number, at + each * (number + 0.9)) for number in range(len(words))]
        spans.append(Span(start_s=max(0.0, at - 0.2), end_s=end + chance.uniform(0, 0.5)))
        segments.append(
            Segment(
                start_s=at,
                end_s=end,
                text=" ".join(words),
                words=tuple(
                    Word(start_s=start, end_s=stop, text=word, probability=0.9)
                    for word, (start, stop) in zip(words, times, strict=True)
                ),
                avg_logprob=-abs(chance.gauss(0.2, 0.08)),
            )
        )
        at = end + chance.uniform(0.6, 9)
    return spans, segments


def _sentence(chance: random.Random, language: str) -> list[str]:
    """Halves of two sentences: as many different ones as a meeting has."""
    first, second = (chance.choice(WORDS[language]).split() for _ in range(2))
    number = f"number {chance.randrange(1000)}" if language == "en" else f"số {chance.randrange(1000)}"
    return [*first[: chance.randrange(5, 9)], *number.split(), *second[chance.randrange(3, 7) :]]


def _metrics(chance: random.Random, speech: Speech, segments: list[Segment]) -> Metrics:
    processing_s = speech.duration_s * chance.lognormvariate(-2.5, 0.3)
    words = sum(len(segment.words) for segment in segments)
    prompt, completion = round(words * chance.uniform(2.6, 3.0) + 900), round(words * 1.4 + chance.uniform(150, 300))
    return Metrics(
        input_duration_s=speech.duration_s,
        processing_time_s=processing_s,
        rtf=processing_s / speech.duration_s,
        vad_coverage=speech.coverage,
        vad_segments=len(speech.spans),
        asr_confidence_avg=min(0.99, chance.gauss(0.82, 0.05)),
        edit_rate_cleaning=abs(chance.gauss(0.08, 0.03)),
        prompt_tokens=prompt,
        completion_tokens=completion,
        cost_usd=prompt * PRICE_USD[0] + completion * PRICE_USD[1],
    )
