"""A child process that decodes utterances: length-prefixed PCM on stdin, a line of JSON each on stdout.

The decoder holds the interpreter's lock while it works, so it runs in processes of its own: the
parent stays responsive, every core is used, and a crash of the native code ends one child only.
When the parent is gone, its end of the pipe is closed and the child ends after the utterance in hand.
"""

import json
import struct
import sys
from typing import Any

SAMPLE_RATE_HZ = 16_000
HEADER = struct.Struct("<I")
"""Length of the PCM that follows, in bytes."""


def main() -> None:
    """Decode until the parent closes the pipe."""
    import pocketsphinx

    decoder: Any = pocketsphinx.Decoder(samprate=SAMPLE_RATE_HZ, loglevel="FATAL")
    source = sys.stdin.buffer
    while header := source.read(HEADER.size):
        pcm = source.read(HEADER.unpack(header)[0])
        decoder.reinit_feat()  # forgets means and noise: an utterance must not depend on the one before
        decoder.start_utt()
        decoder.process_raw(pcm, full_utt=True)
        decoder.end_utt()
        words = [(item.word, item.start_frame, item.end_frame, item.prob) for item in decoder.seg() or ()]
        print(json.dumps(words), flush=True)


if __name__ == "__main__":
    main()
