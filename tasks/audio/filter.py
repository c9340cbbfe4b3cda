"""From what an engine heard to the transcript: speakers named, inventions taken out."""

from blocks.audio import Speech
from blocks.progress import in_thread
from blocks.steps import step
from blocks.store import open_store
from blocks.store.files import FileRef, Files
from blocks.transcript import Transcript
from tasks.audio.diarise import TURNS
from tasks.audio.guard import guard
from tasks.audio.speakers import assign_speakers


@step("filter")
async def filter_step(
    folder: str, recognised: FileRef, speech: FileRef, turns: FileRef | None, guarded: bool
) -> FileRef:
    """Write `transcript.json`.

    Args:
        folder: Where to write.
        recognised: What the engine heard.
        speech: Where there is speech.
        turns: Who speaks when, None when speakers are not told apart by voice.
        guarded: Whether the hallucination guard is on.
    """
    return await in_thread(_filter, open_store(), folder, recognised, speech, turns, guarded)


def _filter(
    files: Files, folder: str, recognised: FileRef, speech: FileRef, turns: FileRef | None, guarded: bool
) -> FileRef:
    transcript = Transcript.model_validate_json(files.read_bytes(recognised.key))
    if guarded:
        transcript = guard(transcript, Speech.model_validate_json(files.read_bytes(speech.key)))
    if turns is not None:
        transcript = assign_speakers(transcript, TURNS.validate_json(files.read_bytes(turns.key)))
    content = transcript.model_dump_json(indent=2).encode()
    return files.put_bytes(f"{folder}/transcript.json", content, "application/json")
