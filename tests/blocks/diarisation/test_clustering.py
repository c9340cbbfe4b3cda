"""Labels of embeddings and turns of labels, on made-up numbers."""

from itertools import cycle, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks.audio import Span
from blocks.diarisation.windows import HOP_S, WINDOW_S, joined, turns_of, windows_of

pytest.importorskip("scipy")

from blocks.diarisation import clustering
from blocks.diarisation.clustering import speaker_labels


def crowd(sizes: list[int], spread: float = 0.3, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of so many windows of each voice, in random order, and whose they are."""
    random = np.random.default_rng(seed)
    voices = random.normal(size=(len(sizes), 64))
    owners = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return (voices[owners] + spread * random.normal(size=(len(owners), 64))).astype(np.float32), owners


def same_partition(labels: np.ndarray, owners: np.ndarray) -> bool:
    pairs = set(zip(labels.tolist(), owners.tolist(), strict=True))
    return len(pairs) == len(set(labels.tolist())) == len(set(owners.tolist()))


@pytest.mark.parametrize("speakers", [None, 4])
def test_voices_are_told_apart(speakers: int | None) -> None:
    embeddings, owners = crowd([30, 10, 50, 5])
    assert same_partition(speaker_labels(embeddings, threshold=0.5, speakers=speakers), owners)


def test_stray_windows_are_no_speakers() -> None:
    embeddings, owners = crowd([30, 30, 1, 1])
    for speakers in (None, 2):
        labels = speaker_labels(embeddings, threshold=0.5, speakers=speakers)
        assert same_partition(labels[owners < 2], owners[owners < 2])
        assert len(set(labels.tolist())) == 2


def test_more_windows_than_are_clustered_go_to_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustering, "MAX_CLUSTERED", 40)
    embeddings, owners = crowd([400, 300, 300])
    for speakers in (None, 3):
        assert same_partition(speaker_labels(embeddings, threshold=0.5, speakers=speakers), owners)


def test_few_embeddings_and_equal_ones() -> None:
    one = np.ones((1, 4), np.float32)
    assert speaker_labels(one, threshold=0.5, speakers=3).tolist() == [0]
    assert len(set(speaker_labels(crowd([1, 1])[0], threshold=0.5, speakers=5).tolist())) == 2
    assert set(speaker_labels(np.repeat(one, 9, axis=0), threshold=0.5, speakers=None).tolist()) == {0}
    assert len(set(speaker_labels(np.repeat(one, 9, axis=0), threshold=0.5, speakers=2).tolist())) == 2
    assert len(speaker_labels(np.zeros((5, 4), np.float32), threshold=0.5, speakers=None)) == 5


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 60), st.floats(0, 20)), max_size=6),
    st.lists(st.integers(0, 3), min_size=1, max_size=12),
)
def test_turns_fill_the_stretches_in_order(drawn: list[tuple[float, float]], pattern: list[int]) -> None:
    spans = [Span(start_s=start_s, end_s=start_s + length_s) for start_s, length_s in drawn]
    stretches = joined(spans, 70)
    windows = windows_of(stretches)
    turns = turns_of(stretches, windows, [label for label, _ in zip(cycle(pattern), windows, strict=False)])
    assert all(turn.start_s < turn.end_s for turn in turns)
    edges = [(turn.start_s, turn.end_s) for turn in turns]
    assert sum(end_s - start_s for start_s, end_s in edges) == pytest.approx(
        sum(end_s - start_s for start_s, end_s in stretches)
    )
    assert all(any(low <= start_s and end_s <= high for low, high in stretches) for start_s, end_s in edges)
    assert edges == sorted(edges)
    assert list(dict.fromkeys(turn.speaker for turn in turns)) == sorted({turn.speaker for turn in turns})


def test_windows_cover_a_stretch_and_end_with_it() -> None:
    windows = windows_of([(10.0, 14.0), (20.0, 20.4)])
    assert windows[0].start_s == 10.0
    assert windows[-2].end_s == 14.0
    assert (windows[-1].start_s, windows[-1].end_s, windows[-1].span) == (20.0, 20.4, 1)
    assert all(window.end_s - window.start_s == pytest.approx(WINDOW_S) for window in windows[:-1])
    assert all(later.start_s - window.start_s < 1.6 * HOP_S for window, later in pairwise(windows[:-1]))


def test_a_single_window_of_another_is_absorbed_within_a_stretch_only() -> None:
    stretch = [(0.0, 6.0)]
    windows = windows_of(stretch)
    labels = [0] * len(windows)
    labels[3] = 1
    assert len(turns_of(stretch, windows, labels)) == 1
    labels[4] = 1
    assert [turn.speaker for turn in turns_of(stretch, windows, labels)] == [0, 1, 0]
    short = [(0.0, 1.0), (2.0, 2.5), (3.0, 4.0)]
    assert [turn.speaker for turn in turns_of(short, windows_of(short), [5, 3, 5])] == [0, 1, 0]
