"""Who speaks when."""

from pydantic import TypeAdapter

from blocks.audio import Speech
from blocks.diarisation.protocol import Turn
from blocks.diarisation.registry import choose
from blocks.progress import in_thread, progress
from blocks.residency import loaded
from blocks.steps import step
from blocks.store import open_store
from blocks.store.files import FileRef
from blocks.transcript import EngineInfo

TURNS = TypeAdapter(tuple[Turn, ...])


@step("diarise", timeout_s=6 * 3600, tags=("speech",))
async def diarise_step(
    folder: str, audio: FileRef, speech: FileRef, diariser: EngineInfo, speakers: int | None
) -> FileRef:
    """Write `turns.json`: which voice speaks when.

    Raises:
        EngineFailed, Unsupported, NotFound: see `Diariser.turns`.
    """
    files = open_store()
    found = Speech.model_validate_json(await in_thread(files.read_bytes, speech.key))
    turns: list[Turn] = []
    if found.spans:
        async with loaded(choose(diariser.name)) as model, progress("diarise") as on_progress:
            with files.local(audio.key) as path:
                turns = await in_thread(
                    model.turns, path, spans=found.spans, speakers=speakers, on_progress=on_progress
                )
    content = TURNS.dump_json(tuple(turns), indent=2)
    return await in_thread(files.put_bytes, f"{folder}/turns.json", content, "application/json")
