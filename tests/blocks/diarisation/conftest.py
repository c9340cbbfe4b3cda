"""A conversation of two flite voices, and a model just good enough to tell them apart."""

import subprocess
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from blocks.audio import SAMPLE_RATE_HZ, Span
from blocks.diarisation.protocol import Turn

LINES = (
    "Good morning, this is the weekly meeting about the new warehouse in the north of the city.",
    "Thank you. The supplier promised delivery by Friday, but we still have no tracking number.",
    "Then somebody has to call them before noon, and write down exactly what they say.",
    "I will do that, and I will send the minutes to everyone in the afternoon.",
    "Very good. The second point is the budget for the next quarter, which is rather tight.",
    "We could move the training to the summer, that would save about four thousand.",
)

ROOM = 100
"""Noise of a room, about -50 dB full scale: no recording is as silent as flite."""


def speak(voice: str, text: str, path: Path) -> np.ndarray:
    """What a flite voice says, as 16 kHz samples without the silence around."""
    raw = path.with_suffix(".raw.wav")
    subprocess.run(["flite", "-voice", voice, "-t", text, "-o", str(raw)], check=True)
    convert = ["ffmpeg", "-loglevel", "error", "-y", "-i", str(raw), "-ar", str(SAMPLE_RATE_HZ), str(path)]
    subprocess.run(convert, check=True)
    with wave.open(str(path), "rb") as wav:
        return np.frombuffer(wav.readframes(wav.getnframes()), np.int16)


def write_wav(path: Path, samples: np.ndarray, rate_hz: int = SAMPLE_RATE_HZ, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as wav:
        wav.setparams((channels, 2, rate_hz, 0, "NONE", ""))
        wav.writeframes(samples.astype("<i2").tobytes())
    return path


def talk(folder: Path, pause_s: float, lines: Sequence[str] = LINES) -> tuple[Path, list[Turn]]:
    """A WAV file in which two voices take turns over the noise of a room, and those turns."""
    pause = np.zeros(round(SAMPLE_RATE_HZ * pause_s), np.int16)
    parts, turns, at_s = [pause], [], pause_s
    for number, line in enumerate(lines):
        samples = speak(("slt", "awb")[number % 2], line, folder / f"{number}.wav")
        end_s = at_s + len(samples) / SAMPLE_RATE_HZ
        turns.append(Turn(start_s=at_s, end_s=end_s, speaker=number % 2))
        parts += [samples, pause]
        at_s = end_s + pause_s
    speech = np.concatenate(parts)
    room = np.random.default_rng(3).normal(size=len(speech)) * ROOM
    return write_wav(folder / "conversation.wav", np.clip(speech + room, -32768, 32767)), turns


@pytest.fixture(scope="session")
def conversation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Turn]]:
    """Two voices with pauses of half a second between them."""
    return talk(tmp_path_factory.mktemp("conversation"), 0.5)


@pytest.fixture(scope="session")
def spans(conversation: tuple[Path, list[Turn]]) -> list[Span]:
    """The spans with speech: here exactly the turns."""
    return [Span(start_s=turn.start_s, end_s=turn.end_s) for turn in conversation[1]]


LESSONS = (
    "The quick brown fox jumps over the lazy dog, while seven wizards make toxic brew for the jovial queen.",
    "She had your dark suit in greasy wash water all year, and did not ask me to carry an oily rag like that.",
    "Please open the windows, turn off the lights, and take the boxes downstairs before it begins to rain.",
    "My colleague believes that the report about furniture, paper and coffee is thoroughly wrong.",
)


@pytest.fixture(scope="session")
def projection(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """What tells four voices apart, learned from other sentences: Fisher's discriminant [160 + 1, 3]."""
    pytest.importorskip("kaldi_native_fbank")
    from blocks.diarisation.embedding import filterbank

    folder = tmp_path_factory.mktemp("lessons")
    random = np.random.default_rng(5)
    classes = []
    for voice in ("slt", "awb", "rms", "kal"):
        lines = [speak(voice, line, folder / f"{voice}{number}.wav") for number, line in enumerate(LESSONS)]
        speech = np.concatenate([np.pad(line, (0, SAMPLE_RATE_HZ // 2)) for line in lines])
        speech = (speech + random.normal(size=len(speech)) * ROOM).astype(np.float32)
        windows = [speech[first : first + 24_000] for first in range(0, len(speech) - 24_000, 4_000)]
        classes.append(figures(np.stack([filterbank(window) for window in windows])))
    centre = np.mean([group.mean(axis=0) for group in classes], axis=0)
    within = np.mean([np.cov(group.T) for group in classes], axis=0)
    within += np.eye(len(within)) * np.trace(within) / len(within)
    between = np.cov(np.stack([group.mean(axis=0) for group in classes]).T)
    values, vectors = np.linalg.eig(np.linalg.solve(within, between))
    matrix = vectors[:, np.argsort(-values.real)[:3]].real
    return np.vstack([matrix, -centre @ matrix]).astype(np.float32)


def figures(feats: np.ndarray) -> np.ndarray:
    """Of each window and bin the spread and skewness over time, as `save_model` computes them."""
    spread = np.sqrt((feats**2).mean(axis=1) + LEAST)
    return np.hstack([spread, (feats**3).mean(axis=1) / spread**3])


LEAST = 1e-6


def save_model(path: Path, projection: np.ndarray, bins: int = 80, spoilt: str = "") -> Path:
    """Save an ONNX model of two layers: the figures of each window, and a projection.

    Args:
        path: The file.
        projection: Matrix, and the bias as its last row.
        bins: How many bins it takes.
        spoilt: `flat` makes it give three dimensions, `nan` no numbers.
    """
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node
    nodes = [
        node("Constant", [], ["least"], value_float=LEAST),
        node("Constant", [], ["three"], value_float=3.0),
        node("Mul", ["feats", "feats"], ["square"]),
        node("ReduceMean", ["square"], ["power"], axes=[1], keepdims=0),
        node("Add", ["power", "least"], ["variance"]),
        node("Sqrt", ["variance"], ["spread"]),
        node("Pow", ["feats", "three"], ["cube"]),
        node("ReduceMean", ["cube"], ["moment"], axes=[1], keepdims=0),
        node("Pow", ["spread", "three"], ["scale"]),
        node("Div", ["moment", "scale"], ["skewness"]),
        node("Concat", ["spread", "skewness"], ["figures"], axis=1),
        node("Gemm", ["figures", "matrix", "bias"], ["embedding"]),
        node("Sub", ["embedding", "embedding"], ["zero"]),
        node("Div", ["zero", "zero"], ["nothing"]),
    ]
    output = {"": "embedding", "flat": "square", "nan": "nothing"}[spoilt]
    graph = helper.make_graph(
        nodes,
        "voice",
        [helper.make_tensor_value_info("feats", kind, ["batch", "frames", bins])],
        [helper.make_tensor_value_info(output, kind, None)],
        [
            onnx.numpy_helper.from_array(projection[:-1], "matrix"),
            onnx.numpy_helper.from_array(projection[-1], "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    return path
