"""What is kept of a stream."""

from hypothesis import given
from hypothesis import strategies as st

from blocks.sandbox.output import BoundedOutput

CHUNKS = st.lists(st.binary(max_size=40).map(lambda chunk: bytes(byte % 26 + 97 for byte in chunk)), max_size=20)


@given(CHUNKS, st.integers(min_value=0, max_value=60))
def test_the_beginning_and_the_end_are_kept(chunks: list[bytes], most: int) -> None:
    kept, whole = BoundedOutput(most), b"".join(chunks).decode()
    for chunk in chunks:
        kept.add(chunk)
    if len(whole) <= most:
        assert kept.text() == whole
        return
    head, _, tail = kept.text().partition(f"\n[… {len(whole) - most} bytes left out …]\n")
    assert len(head) + len(tail) == most
    assert whole.startswith(head) and whole.endswith(tail)
    assert abs(len(head) - len(tail)) <= 1


def test_memory_does_not_grow_with_the_stream() -> None:
    kept = BoundedOutput(1000)
    for _ in range(1000):
        kept.add(b"x" * 5000)
    assert len(kept._head) + len(kept._tail) <= 2000
    assert kept.left_out_bytes == 5_000_000 - 1000
