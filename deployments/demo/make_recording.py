"""Speak `meeting.txt` with two flite voices: `python deployments/demo/make_recording.py` writes meeting.flac.

The text is ours; the voices `awb` and `rms` come with flite and are the ones PocketSphinx reads best
(of Debian's four, measured). Needs the Debian package flite.
"""

import subprocess
import tempfile
import wave
from pathlib import Path

HERE = Path(__file__).parent
VOICES = {"Anna": "awb", "David": "rms"}
PAUSE_S = 0.6
RATE_HZ = 16_000


def main() -> None:
    """One utterance a line, a pause after each, joined to FLAC."""
    import av

    lines = (HERE / "meeting.txt").read_text(encoding="utf-8").splitlines()
    pause = bytes(2 * round(PAUSE_S * RATE_HZ))
    pcm = b"".join(speak(*line.split(": ", 1)) + pause for line in lines)
    with av.open(str(HERE / "meeting.flac"), "w") as container:
        stream = container.add_stream("flac", rate=RATE_HZ, layout="mono")
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
        frame.sample_rate = RATE_HZ
        frame.planes[0].update(pcm + bytes(frame.planes[0].buffer_size - len(pcm)))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def speak(name: str, text: str) -> bytes:
    """The text as PCM16 at 16 kHz in the voice of the named speaker."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(["flite", "-voice", VOICES[name], "-t", text, "-o", file.name], check=True)
        with wave.open(file.name, "rb") as wav:
            return wav.readframes(wav.getnframes())


if __name__ == "__main__":
    main()
