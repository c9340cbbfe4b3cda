"""The contracts that every engine's segments and words must keep before anything is built on them."""

from blocks.contracts.broken import ContractBroken
from blocks.contracts.transcripts import check_transcript
from blocks.errors import EngineFailed
from blocks.transcript import Transcript


def check_segments(transcript: Transcript) -> None:
    """Hold segments and words against their contracts: order, bounds, overlap, probabilities, text, total length.

    Raises:
        EngineFailed: naming row, column and rule of the first faults.
    """
    try:
        check_transcript(transcript)
    except ContractBroken as error:
        raise EngineFailed(
            f"engine {transcript.engine.name} gave {error.message}", fix=error.fix, **error.details
        ) from error
