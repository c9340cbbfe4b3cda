"""Word errors of our job on speech, against the bare engine on the same audio."""

import asyncio
import os
import subprocess
import tempfile
import wave
from pathlib import Path

from deployments.docs import ROOT
from deployments.server import TUNING, temporary_server
from tasks.evaluation.normalise import plain_words
from tasks.evaluation.words import word_error_rate

NAME = "wer"
UNIT = "points"
GOAL = 1.0

TEXTS = (
    (
        "rms",
        "The customer asked for a refund on Monday. We sent the form and explained the new rules. "
        "The manager approved the payment this morning, and the money will arrive before the end of the week. "
        "If the customer calls again, please say that the bank needs three days. "
        "We should also write a short note for the other teams, because the same question came up twice this month.",
    ),
    (
        "awb",
        "Our second warehouse opens in April. The team must move thirty thousand boxes in two weeks. "
        "We need six more drivers, and every truck needs a new license before the first of the month. "
        "The old building will be closed in the summer. Until then we will use both places, and the night shift "
        "will stay where it is. The cost of the move is lower than we expected.",
    ),
    (
        "slt",
        "Please listen to the following message. The office is closed on Friday. "
        "You can leave your name and your number, and someone will call you back tomorrow morning. "
        "For questions about an order, please have the order number ready. "
        "If your question is about a contract, press two and wait for the next free line.",
    ),
    (
        "rms",
        "Let me give you a short report about the training program. Twenty people took part this year. "
        "Most of them said that the course was useful, but too long. Next year we will offer two short courses "
        "instead of one long course. The first course is about safety and the second course is about quality. "
        "Each course takes one day, and there will be a test at the end.",
    ),
    (
        "awb",
        "The results of the last quarter are better than the plan. Sales in the north went up by ten percent, "
        "and sales in the south went down a little. We lost one large customer, but we won four small customers. "
        "The prices for energy are still high. I suggest that we look at the contract again in the autumn "
        "and ask two other companies for an offer.",
    ),
)
"""Our own words; a few hundred, since one word of a hundred is a whole point."""

PAUSE_SAMPLES = 8000


def measure(quick: bool) -> float:
    """Our WER minus that of the bare engine fed the whole file as one utterance, in points, over all texts."""
    os.environ.update(TUNING | {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"})
    with tempfile.TemporaryDirectory() as folder, temporary_server() as url:
        os.environ |= {"PREFECT_API_URL": url, "AUDIO_DIR": f"{folder}/store", "LOG_DIR": f"{folder}/logs"}
        return asyncio.run(_compare(_samples(Path(folder), quick)))


def _samples(folder: Path, quick: bool) -> list[tuple[str, Path, str]]:
    demo = ROOT / "deployments" / "demo"
    lines = (demo / "meeting.txt").read_text().splitlines()
    found = [("demo meeting", demo / "meeting.flac", " ".join(line.split(": ", 1)[1] for line in lines))]
    for number, (voice, text) in enumerate(TEXTS[:1] if quick else TEXTS):
        path = folder / f"{number}.wav"
        _speak(path, voice, text)
        found.append((f"{number} flite {voice}", path, text))
    return found


def _speak(path: Path, voice: str, text: str) -> None:
    """Each sentence by itself, half a second of silence between."""
    with wave.open(str(path), "wb") as joined:
        joined.setparams((1, 2, 16_000, 0, "NONE", ""))
        for sentence in text.split(". "):
            part = path.with_suffix(".part.wav")
            subprocess.run(["flite", "-voice", voice, "-t", sentence, "-o", str(part)], check=True)
            with wave.open(str(part), "rb") as wav:
                joined.writeframes(wav.readframes(wav.getnframes()) + bytes(2 * PAUSE_SAMPLES))


async def _compare(samples: list[tuple[str, Path, str]]) -> float:
    from blocks.job import JobOptions
    from blocks.store import open_store
    from blocks.transcript import Transcript
    from flows import process_audio

    ours_wrong = theirs_wrong = total = 0.0
    for name, path, reference in samples:
        result = await process_audio(str(path), JobOptions(features=("raw_transcript",)))
        stored = open_store().read_bytes(result.files["transcript.json"].key)
        with open_store().local(result.files["audio.wav"].key) as audio:
            bare = _bare(audio)
        ours = word_error_rate(reference, Transcript.model_validate_json(stored).text)
        theirs = word_error_rate(reference, bare)
        count = len(plain_words(reference).split())
        print(f"{name:14} {count:4} words  ours {ours:6.1%}  bare engine {theirs:6.1%}")
        ours_wrong, theirs_wrong, total = ours_wrong + ours * count, theirs_wrong + theirs * count, total + count
    print(f"{'all':14} {total:4.0f} words  ours {ours_wrong / total:6.1%}  bare engine {theirs_wrong / total:6.1%}")
    return 100 * (ours_wrong - theirs_wrong) / total


def _bare(audio: Path) -> str:
    from pocketsphinx import Decoder

    with wave.open(str(audio), "rb") as wav:
        pcm = wav.readframes(wav.getnframes())
    decoder = Decoder(samprate=16_000, loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()
    return decoder.hyp().hypstr
