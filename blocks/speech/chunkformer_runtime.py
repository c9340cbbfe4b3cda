"""ChunkFormer in the process that holds it: long recordings endlessly, short ones many at once."""

import tempfile
import wave
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from blocks.audio import SAMPLE_RATE_HZ
from blocks.errors import C500Error, EngineFailed, NotFound, OutOfMemory, Unsupported
from blocks.inference.runtime import Unit

SHORT_S = 60.0
"""Recordings up to this length are computed with others, one unit a span."""

SILENCE_S = 0.5
"""Silence that ends a segment."""

COPY_FRAMES = 1 << 16


class ChunkFormerRuntime:
    """The package's endless and batch decoding; see `blocks.inference.runtime.Runtime`.

    Args:
        folder: The model as its package loads it.
        device: `cuda` or `cpu`.
        chunk_size, left_context, right_context: In encoder frames of 80 ms.
        longest_piece_s: Where long recordings are cut; the same however much memory there is.
        total_batch_duration: Seconds of audio at once.
    """

    def __init__(
        self,
        *,
        folder: str,
        device: str,
        chunk_size: int,
        left_context: int,
        right_context: int,
        longest_piece_s: int,
        total_batch_duration: int,
    ) -> None:
        self._folder = Path(folder)
        self._device = device
        self._context = {
            "chunk_size": chunk_size,
            "left_context_size": left_context,
            "right_context_size": right_context,
        }
        self._longest_piece_s = longest_piece_s
        self._duration = total_batch_duration
        self._shrunk = False

    def load(self) -> dict[str, Any]:
        """Load the model, and see that its checkpoint has every weight."""
        for name in ("config.yaml", "pytorch_model.bin", "vocab.txt"):
            if not (self._folder / name).is_file():
                raise NotFound(f"{self._folder} holds no {name}", fix="c500 models check, then pull it again")
        try:
            torch: Any = import_module("torch")
            package: Any = import_module("chunkformer")
        except (ImportError, OSError) as error:
            raise Unsupported(
                f"ChunkFormer cannot be imported: {error}",
                fix="pip install 'c500[gpu]'; torchaudio has to be of the same build (CPU or CUDA) as torch",
            ) from error
        try:
            weights = torch.load(self._folder / "pytorch_model.bin", map_location="cpu", weights_only=True, mmap=True)
            self._model: Any = package.ChunkFormerModel.from_pretrained(str(self._folder))
        except Exception as error:  # the package raises whatever a wrong file makes of it
            raise EngineFailed(
                f"the ChunkFormer model in {self._folder} cannot be loaded: {error}",
                fix="c500 models check, then pull it again",
            ) from error
        if missing := sorted(set(self._model.model.state_dict()) - set(weights)):
            raise EngineFailed(
                f"{self._folder}/pytorch_model.bin lacks {len(missing)} weights, the first is {missing[0]}",
                fix="it is of another architecture than its config.yaml: pull it again",
            )
        try:
            self._model.to(self._device)
        except RuntimeError as error:
            raise self._compute_error(error) from error
        return {}

    def split(self, request: dict[str, Any]) -> list[Unit]:
        """Spans of a short recording; stretches of a long one, cut between spans."""
        spans: list[tuple[float, float]] = [(start_s, end_s) for start_s, end_s in request["spans"]]
        short = request["duration_s"] <= SHORT_S
        pieces = spans if short else stretches(spans, self._longest_piece_s)
        return [
            Unit(payload=(request["audio"], start_s, end_s), key=short, size=end_s - start_s)
            for start_s, end_s in pieces
        ]

    def fits(self, batch: Sequence[Unit], unit: Unit) -> bool:
        """Short pieces up to the batch duration; a long one is alone."""
        # The package fills batches to half of what it is told.
        return bool(unit.key) and sum(one.size for one in batch) + unit.size <= self._duration / 2

    def shrink(self) -> bool:
        """Half the audio at once, once."""
        if self._shrunk:
            return False
        self._shrunk, self._duration = True, max(10, self._duration // 2)
        return True

    def run(self, batch: Sequence[Unit]) -> list[Any]:
        """The segments of each piece, with times in the recording."""
        with tempfile.TemporaryDirectory(prefix="c500-chunkformer-") as folder:
            paths = [Path(folder) / f"{index}.wav" for index in range(len(batch))]
            for path, unit in zip(paths, batch, strict=True):
                audio, start_s, end_s = unit.payload
                _cut(audio, start_s, end_s, path)
            try:
                if batch[0].key:
                    return self._short(batch, paths)
                return [self._long(unit, path) for unit, path in zip(batch, paths, strict=True)]
            except RuntimeError as error:
                raise self._compute_error(error) from error

    def answer(self, request: dict[str, Any], outcomes: list[Any]) -> dict[str, Any]:
        """All segments in order."""
        return {"segments": [segment for outcome in outcomes for segment in outcome]}

    def _short(self, batch: Sequence[Unit], paths: Sequence[Path]) -> list[Any]:
        texts = self._model.batch_decode(
            [str(path) for path in paths], total_batch_duration=self._duration, **self._context
        )
        return [
            [{"start_s": unit.payload[1], "end_s": unit.payload[2], "text": text.strip()}] if text.strip() else []
            for unit, text in zip(batch, texts, strict=True)
        ]

    def _long(self, unit: Unit, path: Path) -> list[dict[str, Any]]:
        _, start_s, end_s = unit.payload
        heard = self._model.endless_decode(
            str(path),
            total_batch_duration=self._duration,
            return_timestamps=True,
            max_silence_duration=SILENCE_S,
            **self._context,
        )
        return [
            {
                "start_s": round(min(start_s + seconds_of(item["start"]), end_s), 3),
                "end_s": round(min(start_s + seconds_of(item["end"]), end_s), 3),
                "text": item["decode"].strip(),
            }
            for item in heard
            if item["decode"].strip()
        ]

    def _compute_error(self, error: RuntimeError) -> C500Error:
        if "out of memory" in str(error):
            return OutOfMemory(
                f"{self._duration} s of audio at once do not fit into the GPU's memory",
                fix="free the GPU, or set CHUNKFORMER_TOTAL_BATCH_DURATION lower",
            )
        return EngineFailed(
            f"ChunkFormer failed: {error}", fix="run the job again; if it fails at the same place, report it"
        )


def stretches(spans: Sequence[tuple[float, float]], longest_s: float) -> list[tuple[float, float]]:
    """Parts of a long recording as (start, end) in seconds: as long as allowed, cut in the silence between spans."""
    pieces: list[tuple[float, float]] = []
    for start_s, end_s in spans:
        if pieces and end_s - pieces[-1][0] <= longest_s:
            pieces[-1] = (pieces[-1][0], end_s)
        else:
            pieces.append((start_s, end_s))
    return pieces


def seconds_of(stamp: str) -> float:
    """Seconds of a time as the package writes it: `hh:mm:ss:mmm`."""
    hours, minutes, seconds, milliseconds = (int(part) for part in stamp.split(":"))
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def _cut(audio: str, start_s: float, end_s: float, target: Path) -> None:
    """Copy a part of a WAV file."""
    with wave.open(audio, "rb") as source, wave.open(str(target), "wb") as piece:
        piece.setparams(source.getparams()._replace(nframes=0))
        first = min(round(start_s * SAMPLE_RATE_HZ), source.getnframes())
        source.setpos(first)
        left = round(end_s * SAMPLE_RATE_HZ) - first
        while left > 0 and (content := source.readframes(min(left, COPY_FRAMES))):
            piece.writeframesraw(content)
            left -= COPY_FRAMES
