"""Which embeddings are one voice: agglomerative clustering by cosine distance."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Labels = NDArray[np.int64]

MAX_CLUSTERED = 4000
"""So many windows, evenly over the recording, are clustered (50 minutes of speech; about 0.3 GB for the distances);
of a longer recording the others go to the nearest centroid."""

MIN_WINDOWS = 3
MIN_SHARE = 0.1
"""A cluster of fewer windows, or a tenth of all where there are few, is noise and goes to the nearest other one.
Source of the idea: `AgglomerativeClustering` of pyannote.audio, with its min_cluster_size."""

FURTHER_CUTS = 20
"""So many more clusters than speakers asked for are tried, until the noise is apart from the speakers."""


def speaker_labels(embeddings: "Floats", *, threshold: float, speakers: int | None) -> "Labels":
    """A label for each embedding.

    Args:
        embeddings: One a row.
        threshold: Cosine distance, 0 to 2, above which two clusters stay apart.
        speakers: Exactly so many labels (fewer only with fewer embeddings), whatever the threshold says.
    """
    import numpy as np

    count = len(embeddings)
    if count < 2:
        return np.zeros(count, np.int64)
    unit = _unit(embeddings)
    sample = np.unique(np.linspace(0, count - 1, min(count, MAX_CLUSTERED)).round().astype(np.int64))
    sampled = _clusters(unit[sample], threshold, speakers)
    if len(sample) == count:
        return sampled
    labels = _nearest(unit, _centroids(unit[sample], sampled))
    labels[sample] = sampled
    return labels


def _clusters(unit: "Floats", threshold: float, speakers: int | None) -> "Labels":
    """Labels 0, 1, ... of at most MAX_CLUSTERED unit vectors; the small clusters are absorbed."""
    import numpy as np
    from scipy.cluster.hierarchy import cut_tree, fcluster, linkage

    tree: Any = linkage(_distances(unit), "average")
    least = min(MIN_WINDOWS, max(1, round(MIN_SHARE * len(unit))))
    if speakers is None:
        labels = np.asarray(fcluster(tree, threshold, "distance"), np.int64) - 1
        large = np.flatnonzero(np.bincount(labels) >= least)
        return _absorbed(unit, labels, large) if len(large) else labels
    fewest = min(speakers, len(unit))
    cuts = np.asarray(cut_tree(tree, range(fewest, min(fewest + FURTHER_CUTS, len(unit)) + 1)), np.int64)
    for labels in cuts.T:
        sizes = np.bincount(labels)
        if np.count_nonzero(sizes >= least) >= fewest:
            return _absorbed(unit, labels, np.argsort(-sizes, kind="stable")[:fewest])
    return cuts[:, 0]


def _distances(unit: "Floats") -> "Floats":
    """Cosine distances of all pairs, in SciPy's condensed form."""
    import numpy as np
    from scipy.spatial.distance import squareform

    distances = np.clip(1 - unit @ unit.T, 0, 2)
    np.fill_diagonal(distances, 0)
    return squareform(distances, checks=False)


def _absorbed(unit: "Floats", labels: "Labels", kept: "Labels") -> "Labels":
    """Only the clusters `kept`, labelled anew; members of the others go to the nearest centroid."""
    import numpy as np

    new = np.full(len(labels), -1, np.int64)
    for number, label in enumerate(kept):
        new[labels == label] = number
    inside = new >= 0
    new[~inside] = _nearest(unit[~inside], _centroids(unit[inside], new[inside]))
    return new


def _centroids(unit: "Floats", labels: "Labels") -> "Floats":
    import numpy as np

    return _unit(np.stack([unit[labels == label].mean(axis=0) for label in range(labels.max() + 1)]))


def _nearest(unit: "Floats", centroids: "Floats") -> "Labels":
    import numpy as np

    return np.argmax(unit @ centroids.T, axis=1).astype(np.int64)


def _unit(vectors: "Floats") -> "Floats":
    """Rows of length 1; a row of zeros stays one."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(lengths, 1e-10)).astype(np.float32)
