"""What a converted Whisper holds, read from the head of each variable in its `model.bin`.

The file says which architecture it is, in which shape, and whether it is whole - without a GPU and
without loading it.

Source: CTranslate2's `ModelSpec._serialize`, binary version 6.
"""

import struct
from pathlib import Path
from typing import BinaryIO

from blocks.errors import EngineFailed, NotFound, Unsupported
from blocks.model import Frozen

BINARY_VERSION = 6
FLOAT_TYPES = (0, 4, 5)
"""float32, float16, bfloat16; others are integers already quantised."""

BYTES_PER_WEIGHT = {
    "float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "int8_float16": 1, "int8_float32": 1, "int8_bfloat16": 1
}  # fmt: skip
ACTIVATION_BYTES = {
    "float32": 4, "float16": 2, "bfloat16": 2, "int8": 4, "int8_float16": 2, "int8_float32": 4,
    "int8_bfloat16": 2,
}  # fmt: skip


class WhisperShape(Frozen):
    """The size of a Whisper model.

    Attributes:
        parameters: Weights of all layers.
        width: Size of the hidden state.
        encoder_layers, decoder_layers: Number of layers.
        vocabulary: Number of tokens.
        mel_bins: Rows of the spectrogram.
    """

    parameters: int
    width: int
    encoder_layers: int
    decoder_layers: int
    vocabulary: int
    mel_bins: int

    def weights_bytes(self, compute_type: str) -> int:
        """Memory of the weights in a number type."""
        return self.parameters * BYTES_PER_WEIGHT[compute_type]

    def window_bytes(self, compute_type: str, beam_size: int) -> int:
        """Memory that one window of 30 s takes beside the weights.

        The encoder's output and working buffers, the keys and values of the decoder's attention to it, those of
        its attention to itself for each beam, and the scores of all tokens for each beam.
        """
        size = ACTIVATION_BYTES[compute_type]
        encoder = ENCODER_FRAMES * self.width * size * ENCODER_BUFFERS
        cross = 2 * self.decoder_layers * ENCODER_FRAMES * self.width * size
        own = 2 * self.decoder_layers * MAX_TOKENS * self.width * size * beam_size
        scores = 3 * beam_size * self.vocabulary * 4
        return encoder + cross + own + scores


ENCODER_FRAMES = 1500
MAX_TOKENS = 448
ENCODER_BUFFERS = 12
"""Hidden state, queries, keys, values, attention output and the four times wider feed-forward with its copy."""


def read_shape(folder: Path) -> WhisperShape:
    """The shape of the model in a folder.

    Raises:
        NotFound: there is no `model.bin`.
        Unsupported: it is another architecture, or not in CTranslate2's form.
        EngineFailed: the file is damaged or cut short.
    """
    path = folder / "model.bin"
    if not path.is_file():
        raise NotFound(
            f"{folder} holds no model.bin",
            fix="pull a converted model (c500 models pull), or convert it with ct2-transformers-converter",
        )
    try:
        with path.open("rb") as file:
            return _shape(file, path)
    except (struct.error, UnicodeDecodeError) as error:
        raise _damaged(path) from error


def _shape(file: BinaryIO, path: Path) -> WhisperShape:
    [version] = _unpack(file, "I")
    if version != BINARY_VERSION:
        raise Unsupported(
            f"{path} is not a CTranslate2 model of version {BINARY_VERSION}", fix="convert the model again"
        )
    name = _string(file)
    if name != "WhisperSpec":
        raise Unsupported(f"{path} holds a {name}, not a Whisper", fix="correct WHISPER_MODEL_VARIANT")
    _, count = _unpack(file, "II")
    shapes = dict(_variable(file) for _ in range(count))
    if file.tell() > path.stat().st_size:
        raise _damaged(path)
    convolution, embedding = shapes["encoder/conv1/weight"], shapes["decoder/embeddings/weight"]
    return WhisperShape(
        parameters=sum(_product(shape) for shape in shapes.values()),
        width=embedding[1],
        encoder_layers=_layers(shapes, "encoder"),
        decoder_layers=_layers(shapes, "decoder"),
        vocabulary=embedding[0],
        mel_bins=convolution[1],
    )


def _variable(file: BinaryIO) -> tuple[str, tuple[int, ...]]:
    """Name and shape of the next variable; its content is skipped."""
    name = _string(file)
    [rank] = _unpack(file, "B")
    shape = _unpack(file, f"{rank}I") if rank else ()
    _, size = _unpack(file, "=BI")
    file.seek(size, 1)
    return name, shape


def _string(file: BinaryIO) -> str:
    [length] = _unpack(file, "H")
    return file.read(length)[:-1].decode()


def _unpack(file: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product


def _layers(shapes: dict[str, tuple[int, ...]], part: str) -> int:
    return len({name.split("/")[1] for name in shapes if name.startswith(f"{part}/layer_") and name.count("/") > 2})


def _damaged(path: Path) -> EngineFailed:
    return EngineFailed(f"{path} is damaged or cut short", fix="c500 models check, then pull it again")
