"""The diarisers there are; a new one is a row here and a file beside."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from blocks.diarisation.protocol import Diariser
from blocks.errors import Unsupported
from blocks.models.locate import find
from blocks.settings import settings


@dataclass(frozen=True, kw_only=True)
class DiariserEntry:
    """One diariser.

    Attributes:
        name: What `diarise` takes.
        description: One line for people.
        missing: What makes it available, None when it is.
        build: Makes the diariser; imports nothing heavy before.
    """

    name: str
    description: str
    missing: Callable[[], str | None]
    build: Callable[[], Diariser]


def _cluster() -> Diariser:
    from blocks.diarisation.cluster import ClusterDiariser

    return ClusterDiariser()


def _cluster_missing() -> str | None:
    if not (find_spec("kaldi_native_fbank") and find_spec("scipy")):
        return "pip install 'c500[diarise]'"
    return _model_missing(settings().speaker_model)


def _pyannote() -> Diariser:
    from blocks.diarisation.pyannote import PyannoteDiariser

    return PyannoteDiariser()


def _pyannote_missing() -> str | None:
    # Asked for in two steps: find_spec raises when the parent `pyannote` is not there either.
    if not (find_spec("pyannote") and find_spec("pyannote.audio")):
        return "pip install 'c500[pyannote]'"
    return _model_missing(settings().pyannote_model)


def _model_missing(name: str) -> str | None:
    return None if find(name) else f"c500 models pull {name}"


ENTRIES = (
    DiariserEntry(
        name="cluster",
        description="clusters of speaker embeddings on the CPU: no torch, no overlapping speech",
        missing=_cluster_missing,
        build=_cluster,
    ),
    DiariserEntry(
        name="pyannote",
        description="pyannote.audio: more accurate, with torch, and a model whose terms must be accepted",
        missing=_pyannote_missing,
        build=_pyannote,
    ),
)


def entries() -> tuple[DiariserEntry, ...]:
    """All diarisers, installed or not."""
    return ENTRIES


def choose(name: str) -> Diariser:
    """The diariser of that name.

    Raises:
        Unsupported: there is none of that name, or it is not there.
    """
    entry = next((entry for entry in ENTRIES if entry.name == name), None)
    if entry is None:
        known = ", ".join(entry.name for entry in ENTRIES)
        raise Unsupported(f"there is no diariser {name!r}", fix=f"choose one of {known}", field="diarise")
    if (how := entry.missing()) is not None:
        raise Unsupported(f"diariser {name!r} is not there", fix=how, field="diarise")
    return entry.build()
