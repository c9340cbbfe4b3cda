"""Damage recordings in every way, in a process of its own: `python -m tests.tasks.audio.mutations FOLDER SEED COUNT`.

Each file goes through probe, decode and speech detection. Prints one JSON line before each file and
one after it, so that whoever started this process knows which file crashed or hung it.
"""

import faulthandler
import json
import random
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from blocks.errors import C500Error
from blocks.metrics import peak_rss_bytes
from tasks.audio.decode import decode
from tasks.audio.detect_speech import detect_speech
from tasks.audio.probe import probe

LONGEST_FILE_S = 20
"""A hang of one file ends the process with a traceback on stderr."""

Damage = Callable[[bytes, random.Random], bytes]


def truncated(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def cut_within_the_header(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(1, 64)]


def beginning_lost(content: bytes, chance: random.Random) -> bytes:
    return content[chance.randrange(len(content)) :]


def bits_flipped(content: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(chance.choice([1, 10, 100, 1000])):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def header_flipped(content: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(chance.randrange(1, 12)):
        damaged[chance.randrange(min(200, len(damaged)))] = chance.randrange(256)
    return bytes(damaged)


def huge_claims(content: bytes, chance: random.Random) -> bytes:
    """Fields of the header become as large as they can be."""
    damaged = bytearray(content)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(4, min(120, len(damaged) - 8))
        damaged[at : at + 4] = chance.choice([b"\xff" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0" * 4])
    return bytes(damaged)


def zeroed_within(content: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(content))
    length = chance.randrange(len(content))
    return content[:start] + bytes(min(length, len(content) - start)) + content[start + length :]


def shuffled(content: bytes, chance: random.Random) -> bytes:
    pieces = [content[at : at + 512] for at in range(0, len(content), 512)]
    chance.shuffle(pieces)
    return b"".join(pieces)


def repeated(content: bytes, chance: random.Random) -> bytes:
    return content * chance.randrange(2, 4)


def wrong_container(content: bytes, chance: random.Random) -> bytes:
    """The beginning of another format before this one's data."""
    wav = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 2**32 - 1, b"WAVE", b"fmt ", 16, 1, 2, 44100, 176400, 4, 16,
                      b"data", 2**32 - 1)  # fmt: skip
    starts = [wav, b"ID3\x04\0\0\x7f\x7f\x7f\x7f", b"fLaC\0\0\0\x22", b"OggS\0\x02", b"#!AMR\n", b"\x1aE\xdf\xa3",
              b"\0\0\0\x20ftypM4A ", b"RF64", b"caff", b"FORM\xff\xff\xff\xffAIFF"]  # fmt: skip
    return chance.choice(starts) + content[chance.randrange(min(100, len(content))) :]


def emptied(content: bytes, chance: random.Random) -> bytes:
    return b""


def noise(content: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(1, 20_000))


def impossible_wav(content: bytes, chance: random.Random) -> bytes:
    """PCM16 whose header claims any number of channels, rate, block size and length."""
    extreme = [0, 1, 2, 3, 64, 65, 1000, 65535]
    rates = [0, 1, 7, 8000, 96_000, 768_001, 2**31 - 1, 2**32 - 1]
    sizes = [0, 1, 1000, 2**31, 2**32 - 1]
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", chance.choice(sizes), b"WAVE", b"fmt ", 16, chance.choice([1, 3, 6, 7, 2, 17]),
        chance.choice(extreme), chance.choice(rates), chance.choice(rates), chance.choice(extreme),
        chance.choice([0, 1, 4, 8, 16, 24, 32, 64, 65535]), b"data", chance.choice(sizes),
    ) + chance.randbytes(4000)  # fmt: skip


DAMAGES: list[Damage] = [
    truncated, cut_within_the_header, beginning_lost, bits_flipped, header_flipped, huge_claims, zeroed_within,
    shuffled, repeated, wrong_container, emptied, noise, impossible_wav,
]  # fmt: skip


def process(path: Path, target: Path, *, loud: bool) -> str:
    """What becomes of a file: `ok`, or the code of the error a user would see."""
    try:
        info = probe(path, max_duration_s=600)
        decoded = decode(
            path,
            target,
            channels="split" if loud else "mix",
            loudness_lufs=-23.0 if loud else None,
            max_duration_s=600,
            expected_s=info.duration_s,
            on_progress=lambda share: None,
        )
        speech = detect_speech(target, threshold=0.5, on_progress=lambda share: None)
    except C500Error as error:
        return error.code
    assert 0 < decoded.duration_s <= 600
    assert abs(speech.duration_s - decoded.duration_s) < 0.001
    assert speech.channels == decoded.channels
    return "ok"


def main() -> None:
    """Damage and process COUNT files of the bases in FOLDER."""
    folder, seed, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    bases = sorted((folder / "bases").iterdir())
    for number in range(count):
        chance = random.Random(f"{seed}-{number}")
        base, damage = bases[number % len(bases)], DAMAGES[number // len(bases) % len(DAMAGES)]
        path = folder / "damaged"
        path.write_bytes(damage(base.read_bytes(), chance))
        case = {"number": number, "base": base.name, "damage": damage.__name__}
        print(json.dumps(case), flush=True)
        faulthandler.dump_traceback_later(LONGEST_FILE_S, exit=True)
        outcome = process(path, folder / "target.wav", loud=chance.random() < 0.3)
        faulthandler.cancel_dump_traceback_later()
        print(json.dumps({**case, "outcome": outcome}), flush=True)
    print(json.dumps({"peak_rss_bytes": peak_rss_bytes()}), flush=True)


if __name__ == "__main__":
    main()
