"""A transcript in the forms people and programs take: text, subtitles, table, report, picture."""

from collections.abc import Sequence

from blocks.audio import Speech
from blocks.enhanced import Enhanced, Summary
from blocks.markdown import markdown_of
from blocks.progress import in_thread
from blocks.steps import step
from blocks.store import open_store
from blocks.store.files import FileRef, Files
from blocks.transcript import Segment, Transcript
from tasks.audio.pictures import waveform
from tasks.audio.subtitles import cues_of, to_srt, to_vtt


@step("export", timeout_s=600)
async def export_step(
    folder: str,
    source_name: str,
    transcript: FileRef,
    speech: FileRef,
    audio: FileRef,
    enhanced: FileRef | None,
    summary: FileRef | None,
) -> dict[str, FileRef]:
    """Write `transcript.{txt,srt,vtt,tsv,md}` and `waveform.png`; returns them by name."""
    files = open_store()
    heard, better, short = await in_thread(_read, files, transcript, enhanced, summary)
    found = Speech.model_validate_json(await in_thread(files.read_bytes, speech.key))
    shown = better.transcript.segments if better else heard.segments
    cues = cues_of(shown)
    made = {
        "transcript.txt": (to_txt(shown), "text/plain"),
        "transcript.srt": (to_srt(cues), "application/x-subrip"),
        "transcript.vtt": (to_vtt(cues), "text/vtt"),
        "transcript.tsv": (to_tsv(shown), "text/tab-separated-values"),
        "transcript.md": (to_markdown(source_name, heard, better, short), "text/markdown"),
    }
    written = await in_thread(_write, files, folder, made)
    with files.local(audio.key) as path:
        picture = await in_thread(waveform, path, found)
    written["waveform.png"] = await in_thread(files.put_bytes, f"{folder}/waveform.png", picture, "image/png")
    return written


@step("export-text", timeout_s=600)
async def export_text_step(
    folder: str, source_name: str, transcript: FileRef, enhanced: FileRef | None, summary: FileRef | None
) -> dict[str, FileRef]:
    """Write `transcript.{txt,md}`: what can be made of a text without times."""
    files = open_store()
    given, better, short = await in_thread(_read, files, transcript, enhanced, summary)
    shown = better.transcript.segments if better else given.segments
    made = {
        "transcript.txt": (to_txt(shown), "text/plain"),
        "transcript.md": (to_markdown(source_name, given, better, short), "text/markdown"),
    }
    return await in_thread(_write, files, folder, made)


def to_txt(segments: Sequence[Segment]) -> str:
    """One line a segment, the speaker before it where known."""
    return "".join(f"{_speaker(segment)}{segment.text}\n" for segment in segments)


def to_tsv(segments: Sequence[Segment]) -> str:
    """Columns start_ms, end_ms, speaker, text; tabs and line ends within a cell become spaces."""
    rows = [
        "\t".join(
            [
                str(round(segment.start_s * 1000)),
                str(round(segment.end_s * 1000)),
                " ".join((segment.speaker or "").split()),
                " ".join(segment.text.split()),
            ]
        )
        for segment in segments
    ]
    return "\n".join(["start_ms\tend_ms\tspeaker\ttext", *rows]) + "\n"


def to_markdown(source_name: str, transcript: Transcript, enhanced: Enhanced | None, summary: Summary | None) -> str:
    """The report: what it is, the summary, the notices, and the text with its times."""
    engines = {"recognised by": transcript.engine.name}
    if enhanced:
        engines["enhanced by"] = enhanced.engine.name
    if summary:
        engines["summarised by"] = summary.engine.name
    lines = [f"# {' '.join(source_name.split())}", "", f"- language: {transcript.language}"]
    lines += [f"- {role}: `{name}`" for role, name in engines.items()]
    if transcript.duration_s:
        lines.append(f"- length: {clock(transcript.duration_s)}")
    if summary and summary.content is not None:
        lines += ["", f"## Summary (`{summary.engine.name}`)", "", *markdown_of(summary.content, depth=3)]
    notices = [*(enhanced.notices if enhanced else ()), *(summary.notices if summary else ())]
    if notices:
        lines += ["", "## Notices", "", *(f"- {notice.message}" for notice in notices)]
    lines += ["", "## Transcript", ""]
    shown = enhanced.transcript.segments if enhanced else transcript.segments
    lines += [_line(segment) for segment in shown] or ["No speech was found in this recording."]
    return "\n".join(lines) + "\n"


def _line(segment: Segment) -> str:
    time = f"`{clock(segment.start_s)}` " if segment.end_s else ""
    speaker = f"**{segment.speaker}:** " if segment.speaker else ""
    return f"{time}{speaker}{segment.text}  "


def clock(seconds: float) -> str:
    """`m:ss`, or `h:mm:ss` from an hour on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _speaker(segment: Segment) -> str:
    return f"{segment.speaker}: " if segment.speaker else ""


def _read(
    files: Files, transcript: FileRef, enhanced: FileRef | None, summary: FileRef | None
) -> tuple[Transcript, Enhanced | None, Summary | None]:
    return (
        Transcript.model_validate_json(files.read_bytes(transcript.key)),
        Enhanced.model_validate_json(files.read_bytes(enhanced.key)) if enhanced else None,
        Summary.model_validate_json(files.read_bytes(summary.key)) if summary else None,
    )


def _write(files: Files, folder: str, made: dict[str, tuple[str, str]]) -> dict[str, FileRef]:
    return {
        name: files.put_bytes(f"{folder}/{name}", text.encode(), media_type)
        for name, (text, media_type) in made.items()
    }
