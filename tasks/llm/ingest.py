"""Bring a text into the store and give it its job."""

import hashlib
import unicodedata

from prefect import task

from blocks import timeline
from blocks.errors import BadInput, TooLarge
from blocks.job import Job, JobPlan
from blocks.progress import in_thread
from blocks.settings import settings
from blocks.steps import step
from blocks.store import open_store
from blocks.store.files import FileRef
from blocks.transcript import EngineInfo, Segment, Transcript

BYTES_PER_MB = 1_000_000
VIETNAMESE_LETTERS = frozenset("ăđơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ")
"""Letters of the Vietnamese alphabet that its neighbours in Europe do not use, or hardly."""

VIETNAMESE_SHARE = 0.02

GIVEN = EngineInfo(name="text", version="1")
"""Stands where a speech engine would: the words were given, not heard."""


@task(name="ingest-text")
async def ingest_text_step(text: str, plan: JobPlan, source_name: str) -> Job:
    """Keep the text as `jobs/<job_id>/source.txt`.

    Raises:
        BadInput: there is nothing but white space in it.
        TooLarge: it is over MAX_FILE_SIZE_MB.
    """
    content = text.encode()
    if not text.strip():
        raise BadInput("the text is empty", fix="give some text", field="text")
    if len(content) > settings().max_file_size_mb * BYTES_PER_MB:
        raise TooLarge(
            f"the text is over {settings().max_file_size_mb:g} MB",
            fix="shorten it, or raise MAX_FILE_SIZE_MB",
        )
    with timeline.measure("ingest"):
        job_id = plan.job_id(hashlib.sha256(content).hexdigest())
        key = f"jobs/{job_id}/source.txt"
        source = await in_thread(open_store().put_bytes, key, content, "text/plain")
    return Job(job_id=job_id, source=source, source_name=source_name, plan=plan)


def transcript_of_text(text: str, language: str) -> Transcript:
    """A transcript without times: one segment for each line that is not blank."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    segments = tuple(Segment(start_s=0, end_s=0, text=line) for line in lines if line)
    return Transcript(language=language, segments=segments, engine=GIVEN, duration_s=0)


def likely_language(text: str) -> str:
    """`vi` when letters that only Vietnamese has are common in the text, else `en`.

    About a fifth of the letters of written Vietnamese carry such marks; quoted names stay far below 2 %.
    """
    letters = sum(char.isalpha() for char in text)
    marked = sum(char in VIETNAMESE_LETTERS for char in unicodedata.normalize("NFC", text.lower()))
    return "vi" if letters and marked / letters > VIETNAMESE_SHARE else "en"


@step("read-text", timeout_s=600)
async def read_text_step(folder: str, source: FileRef, language: str | None) -> FileRef:
    """Write the text as `transcript.json`, as the later steps take it; guess its language when not given."""
    files = open_store()
    text = (await in_thread(files.read_bytes, source.key)).decode()
    content = transcript_of_text(text, language or likely_language(text)).model_dump_json(indent=2).encode()
    return await in_thread(files.put_bytes, f"{folder}/transcript.json", content, "application/json")
