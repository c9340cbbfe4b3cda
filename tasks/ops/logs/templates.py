"""Templates: what lines have in common, mined by drain3, and how often each came.

Source: He et al., «Drain: An Online Log Parsing Approach with Fixed Depth Tree» (ICWS 2017); drain3 0.9.1.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from blocks.redact import Redactor
from tasks.ops.logs.levels import Level, level_of
from tasks.ops.logs.masks import shape, words
from tasks.ops.logs.samples import Sample

DEPTH = 5
"""Level and first word choose the leaf of the tree."""

LIKENESS = 0.7
"""Share of words that a line must have in common with its template. drain3 has 0.4: since the masks leave little that
changes, more is not needed, and with less a new error of a few words would pass for a known one."""

MOST_CHILDREN = 100
PAD = "<end>"
"""drain3 0.9.1 never finds again what has fewer words than its tree is deep (it compares a number with a text)."""

CACHE_BYTES = 24 << 20
"""Of known lines, masked; when it is full, it begins anew."""

ENTRY_BYTES = 150
"""What an entry takes beside its text."""

MOST_WORDS = 200
MOST_COMPARED = 200
"""Templates in a leaf of the tree; of more, the oldest are found no more."""

LINE_CHARS = 2_000
"""Of a line, what is mined."""


@dataclass
class Template:
    """How often a template came.

    Attributes:
        number: Names it within this analysis and those that go on from it.
        level: Of its lines.
        count: Lines since the baseline.
        peak: Most lines within a window since the baseline.
        peak_window: Which.
        base_count, base_peak: The same of the baseline.
        samples: Some of its lines, with what stands around them.
    """

    number: int
    level: Level
    count: int = 0
    peak: int = 0
    peak_window: int | None = None
    base_count: int = 0
    base_peak: int = 0
    samples: list[Sample] = field(default_factory=list[Sample])


class Templates:
    """The templates of a log.

    Args:
        redactor: Takes secrets out of lines before anything of them is kept.
        most: Templates that are kept; beyond, the one that was not seen for longest is forgotten.
    """

    def __init__(self, redactor: Redactor, most: int) -> None:
        from drain3.drain import Drain

        no_profiler: Any = None  # one that does nothing is called six times a line all the same

        self._redactor, self.most = redactor, most
        self._drain: Any = Drain(
            depth=DEPTH, sim_th=LIKENESS, max_children=MOST_CHILDREN, max_clusters=most, profiler=no_profiler
        )
        self._known: dict[bytes | str, int] = {}
        self._known_bytes = 0
        self.of: dict[int, Template] = {}
        self.forgotten = 0
        self.forgotten_lines = 0

    def numbers(self, counts: Counter[bytes], line_of: Callable[[list[bytes]], list[bytes]]) -> dict[bytes, int]:
        """The template of each line.

        Args:
            counts: Keys of lines, and how often each came.
            line_of: Gives a whole line for each of some keys.
        """
        if len(self.of) > 2 * self.most:
            self._forget()
        found = {key: self._known.get(key, 0) for key in counts}
        if self._gone(set(found.values())):
            self._forget()
            found = {key: self._known.get(key, 0) for key in counts}
        if new := [key for key, number in found.items() if not number]:
            found.update(self._of_new(new, line_of))
        return found

    def text(self, number: int) -> str:
        """A template in words."""
        cluster = self._cluster(number)
        return "" if cluster is None else " ".join(_unpadded(cluster.log_template_tokens))

    def kept(self) -> list[Template]:
        """Those that the miner knows, in the order in which they first came."""
        return [self.of[number] for number in sorted(self.of) if self._cluster(number) is not None]

    def words(self, number: int) -> tuple[str, ...]:
        """A template as the miner has it; see `restore`."""
        return tuple(self._cluster(number).log_template_tokens)

    def restore(self, template: Template, words: Sequence[str]) -> None:
        """Know a template that an earlier analysis kept."""
        from drain3.drain import LogCluster

        cluster = LogCluster(list(words), template.number)
        cluster.size = template.base_count + template.count
        self._drain.id_to_cluster[template.number] = cluster
        self._drain.add_seq_to_prefix_tree(self._drain.root_node, cluster)
        self._drain.clusters_counter = max(self._drain.clusters_counter, template.number)
        self.of[template.number] = template

    def end_baseline(self) -> None:
        """What came so far is what is usual."""
        for one in self.of.values():
            one.base_count, one.base_peak = one.base_count + one.count, max(one.base_peak, one.peak)
            one.count = one.peak = 0
            one.peak_window, one.samples = None, []

    def _of_new(self, new: list[bytes], line_of: Callable[[list[bytes]], list[bytes]]) -> dict[bytes, int]:
        lines = [_text(line) for line in line_of(new)]
        shaped = shape("\n".join(lines)).split("\n")
        numbers = {text: self._known.get(text, 0) for text in shaped}
        if unknown := {text: line for line, text in zip(lines, shaped, strict=True) if not numbers[text]}:
            numbers.update(self._mined(list(unknown), list(unknown.values())))
        found = {key: numbers[text] for key, text in zip(new, shaped, strict=True)}
        for key, number in found.items():
            self._remember(key, number)
        return found

    def _mined(self, texts: list[str], lines: list[str]) -> dict[str, int]:
        """The templates of shapes that were not seen before, by one line of each."""
        if self._known_bytes > CACHE_BYTES:
            self._known.clear()
            self._known_bytes = 0
        found: dict[str, int] = {}
        for text, line in zip(texts, self._without_secrets(lines), strict=True):
            seen = shape(line)
            level = level_of(seen)
            said = [f"{level}:", *words(seen).split()][:MOST_WORDS]
            said += [PAD] * (DEPTH - 1 - len(said))
            cluster, came = self._drain.add_log_message(" ".join(said))
            if came == "cluster_created":
                self._thin_out(said)
                self.of[cluster.cluster_id] = Template(cluster.cluster_id, level)
            found[text] = cluster.cluster_id
            self._remember(text, cluster.cluster_id)
        return found

    def _thin_out(self, said: list[str]) -> None:
        """Bound the templates that a line is compared with: whoever writes into a log could make it slow."""
        node = self._drain.root_node.key_to_child_node[str(len(said))]
        for word in said[: DEPTH - 3]:
            children = node.key_to_child_node
            node = children[word] if word in children else children["<*>"]
        del node.cluster_ids[MOST_COMPARED:]

    def _without_secrets(self, lines: list[str]) -> list[str]:
        together = self._redactor.text("\n".join(lines)).split("\n")
        if len(together) == len(lines):
            return together
        return [self._redactor.text(line) for line in lines]  # a key over several lines was taken out

    def _remember(self, key: bytes | str, number: int) -> None:
        self._known[key] = number
        self._known_bytes += len(key) + ENTRY_BYTES

    def _gone(self, numbers: set[int]) -> bool:
        """Whether the miner has forgotten one of them; those that it has are not what it forgets next."""
        numbers.discard(0)
        return any([self._drain.id_to_cluster.get(number) is None for number in numbers])

    def _cluster(self, number: int) -> Any:
        from cachetools import Cache

        return Cache.get(self._drain.id_to_cluster, number)

    def _forget(self) -> None:
        gone = [number for number in self.of if self._cluster(number) is None]
        for number in gone:
            self.forgotten_lines += self.of.pop(number).count
        self.forgotten += len(gone)
        left = set(gone)
        self._known = {key: number for key, number in self._known.items() if number not in left}
        self._known_bytes = sum(len(key) + ENTRY_BYTES for key in self._known)


def _text(line: bytes) -> str:
    return line[: 2 * LINE_CHARS].decode("utf-8", "replace")[:LINE_CHARS]


def _unpadded(told: Sequence[str]) -> list[str]:
    words = list(told[1:])
    while words and words[-1] == PAD:
        words.pop()
    return words
