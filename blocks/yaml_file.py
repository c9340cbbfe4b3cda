"""YAML files that people write: what is wrong with one is told with its line."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from blocks.errors import BadInput, NotFound
from blocks.faults import Fault, Place, faults_of

T = TypeVar("T")

MOST_TOLD = 10
"""So many faults are in the message, a line each; `details["problems"]` has all."""

QUOTED = re.compile(r"""(['"])(.*?)\1""")
"""What PyYAML repeats of the file, as names of anchors and tags, or its own words, as `'<block end>'` and `':'`."""


@dataclass(frozen=True, kw_only=True)
class YamlText:
    """What a file says, and where it says so.

    Attributes:
        name: The file's name in messages.
        content: What it says.
        fix: What to do where it is wrong.
        field: The option or field that names the file, for errors.
        tree: Its nodes, with their lines.
    """

    name: str
    content: Any = None
    fix: str
    field: str | None = None
    tree: yaml.Node | None = None

    def read_as(self, form: TypeAdapter[T]) -> T:
        """The content as a record.

        Raises:
            BadInput: it is none; `details["problems"]` has every fault with its line, `details["line"]` the first line.
        """
        return self.part_as(form, self.content, ())

    def part_as(self, form: TypeAdapter[T], part: Any, place: Place) -> T:
        """A part of the content as a record; see `read_as`.

        Args:
            form: What it must be.
            part: The part.
            place: Where it lies.
        """
        try:
            return form.validate_python(part)
        except ValidationError as error:
            faults = [fault.within(place) for fault in faults_of(error, form)]
        # Outside of the handler: pydantic's error holds the values, and would hang on ours.
        raise self.wrong(faults)

    def wrong(self, faults: Iterable[Fault]) -> BadInput:
        """The error of a file with these faults."""
        return self.bad(sorted((self.line(fault.place), self._told(fault)) for fault in faults))

    def bad(self, lines: list[tuple[int, str]]) -> BadInput:
        """The error of a file that is wrong in these lines."""
        problems = [f"{self.name}:{line}: {what}" for line, what in lines]
        more = [f"and {len(problems) - MOST_TOLD} more"] if len(problems) > MOST_TOLD else []
        named = {} if self.field is None else {"field": self.field}
        message = "\n".join([*problems[:MOST_TOLD], *more])
        return BadInput(message, fix=self.fix, problems=problems, line=lines[0][0], **named)

    def line(self, place: Place) -> int:
        """The line of a place, or of the innermost part of it that the file has."""
        node, line = self.tree, self.tree.start_mark.line + 1 if self.tree else 1
        for step in place:
            found: yaml.Node | None = None
            if isinstance(node, yaml.MappingNode):
                pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
                for key, value in pairs:
                    if str(key.value) == str(step):
                        found, line = value, key.start_mark.line + 1
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                found = node.value[step]
                line = node.value[step].start_mark.line + 1
            if found is None:
                break
            node = found
        return line

    def _told(self, fault: Fault) -> str:
        other = "" if fault.other is None else f" (see line {self.line(fault.other)})"
        return f"{fault.where}: {fault.what}{other}"


def read_yaml(path: Path, *, fix: str, field: str | None = None, absent: str = "check the path") -> YamlText:
    """A file.

    Args:
        path: Where it is.
        fix: What to do where it is wrong.
        field: The option or field that names it.
        absent: What to do where there is none.

    Raises:
        NotFound: there is no such file.
        BadInput: it cannot be read, is no YAML, or says the same thing twice.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", fix=absent, field=field or "path") from error
    except IsADirectoryError as error:
        told = f"{path} cannot be read: it is a folder"
        raise BadInput(told, fix="name a file", field=field or "path") from error
    except OSError as error:
        told = f"{path} cannot be read: {error.strerror or error}"
        raise BadInput(told, fix="correct the file", field=field or "path") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise YamlText(name=str(path), fix=fix, field=field).bad([(line, "it is no UTF-8 text")]) from None
    return parse_yaml(text, str(path), fix=fix, field=field)


def parse_yaml(text: str, name: str, *, fix: str, field: str | None = None) -> YamlText:
    """The text of a file; see `read_yaml`."""
    try:
        loader = _Loader(text)
        tree = loader.get_single_node()
        twice = sorted(_twice(tree))  # before the next line, which takes merged keys (`<<`) into the tree
        content = None if tree is None else loader.construct_document(tree)
    except (yaml.YAMLError, RecursionError) as error:
        unread = _unreadable(text, error)
    else:
        read = YamlText(name=name, content=content, fix=fix, field=field, tree=tree)
        if twice:
            raise read.bad(twice)
        return read
    # Without the YAML error, which quotes the line: somebody may have written the secret itself there.
    raise YamlText(name=name, fix=fix, field=field).bad([unread])


class _Loader(yaml.SafeLoader):
    """Tells the line of a value that cannot be what it looks like, as the date 2024-02-30."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, OverflowError, KeyError, AttributeError, TypeError):
            problem = "the value is not what it looks like; put it into quotes"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None


def _twice(tree: yaml.Node | None) -> Iterator[tuple[int, str]]:
    """Names that stand twice in one mapping, with the line of the second: YAML itself would take the last."""
    seen: set[int] = set()
    waiting: list[tuple[yaml.Node, Place]] = [] if tree is None else [(tree, ())]
    while waiting:
        node, place = waiting.pop()
        if id(node) in seen:  # what an anchor names is one node, however often it is referred to
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += [(item, (*place, number)) for number, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
            waiting += [(value, (*place, str(key.value))) for key, value in pairs]
            yield from _twice_in(pairs, place)


def _twice_in(pairs: list[tuple[yaml.Node, yaml.Node]], place: Place) -> Iterator[tuple[int, str]]:
    first: dict[tuple[str, str], int] = {}
    for key, _ in pairs:
        if not isinstance(key, yaml.ScalarNode):
            continue
        line, named = key.start_mark.line + 1, (key.tag, key.value)
        if named in first:
            where = Fault((*place, key.value), "").where
            yield line, f"{where}: it stands here and in line {first[named]}; keep one of the two"
        first.setdefault(named, line)


def _unreadable(text: str, error: Exception) -> tuple[int, str]:
    """The line and the reason of YAML that cannot be read."""
    if isinstance(error, RecursionError):
        return 1, "it is nested too deep"
    if isinstance(error, yaml.reader.ReaderError):
        return text.count("\n", 0, error.position) + 1, "it is no YAML: it has a character that no text may have"
    mark = getattr(error, "problem_mark", None)
    problem = QUOTED.sub(_without_names, str(getattr(error, "problem", None) or "it cannot be read"))
    return mark.line + 1 if mark else 1, f"it is no YAML: {problem}"


def _without_names(quoted: re.Match[str]) -> str:
    return quoted[0] if len(quoted[2]) < 2 or quoted[2].startswith("<") else "…"
