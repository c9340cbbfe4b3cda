"""What is on legal hold, for all that takes away what is old: none of it goes."""

from blocks.store.files import Files
from blocks.subjects.holds import Holds
from blocks.subjects.subject import Traces


def traces_held(files: Files) -> tuple[Traces, ...]:
    """The traces of all that is held, looked for now.

    Raises:
        StoreFailed: it is not known what is held; then nothing may go.
    """
    if next(Holds(files).every(), None) is None:
        return ()
    from blocks.subjects.trace import held, known

    with known(files) as place:
        return held(place)


def ids_held(files: Files) -> frozenset[str]:
    """All names of what is held. Raises `StoreFailed`."""
    return frozenset(name for one in traces_held(files) for name in one.ids)
