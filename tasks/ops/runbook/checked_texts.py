"""The texts of a runbook checked before its first step: conditions, commands, queries, and the values in them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from blocks.faults import Place
from blocks.hosts import Inventory
from tasks.ops.runbook.commands import code_faults
from tasks.ops.runbook.expression import parse_expression
from tasks.ops.runbook.expression_types import Wrong
from tasks.ops.runbook.metric import unquoted
from tasks.ops.runbook.template import Template, parse_template
from tasks.ops.runbook.typed import Kind

Scope = dict[str, Kind]
"""Variables with their types."""


@dataclass(frozen=True)
class Texts:
    """The check of texts.

    Attributes:
        inventory: The hosts there are.
        fault: Takes what is wrong, and where.
    """

    inventory: Inventory
    fault: Callable[[Place, str], None]

    def condition(self, text: str, scope: Scope, place: Place) -> frozenset[str] | None:
        """The names that a condition reads; None where it is wrong."""
        try:
            found = parse_expression(text)
            kind, names = found.type_in(scope), found.names()
        except Wrong as error:
            self.fault(place, str(error))
            return None
        if kind not in ("bool", "json"):
            self.fault(place, f"it is a condition, and this gives {kind}; compare it with something")
        if not names:
            self.fault(place, "it reads no variable: one of its two ways is never taken")
        return names

    def command(self, argv: Iterable[str], scope: Scope, place: Place, stdin: str, stdin_place: Place) -> None:
        """Check the words of a command, and what it reads."""
        words = [parse_template(word) for word in argv]
        for number, word in enumerate(words):
            self.slots(word, scope, (*place, number))
            for index, part in enumerate(word.parts):
                if not isinstance(part, str) and scope.get(part.name) == "path" and word.in_path(index):
                    self.fault((*place, number), f"{part} is a path, and cannot stand within one")
        self.slots(parse_template(stdin), scope, stdin_place)
        for number, what in code_faults(words, stdin=parse_template(stdin)):
            self.fault(stdin_place if number < 0 else (*place, number), what)

    def metric(self, query: str, scope: Scope, place: Place) -> None:
        """Check a query of Prometheus."""
        found = self.text(query, scope, place)
        if found is not None and unquoted(found):
            self.fault(place, 'values stand in a query only within double quotes, as {host="{{ host }}"}')

    def hosts(self, host: str, scope: Scope, place: Place) -> None:
        """Check the text that names a host."""
        if not host:
            return
        found = self.text(host, scope, place)
        if found is None:
            return
        if found.literal is not None:
            if found.literal not in self.inventory.named:
                known = ", ".join(sorted(self.inventory.named))
                self.fault(place, f"there is no host {found.literal} in the inventory; there are {known}")
        elif len(found.parts) != 1 or scope.get(found.slots[0].name, "host") != "host":
            self.fault(place, "a host comes from one variable of type host, as {{ host }}")

    def text(self, text: str, scope: Scope, place: Place) -> Template | None:
        """The template that a text is; None where it is wrong."""
        found = parse_template(text)
        return found if self.slots(found, scope, place) else None

    def slots(self, found: Template, scope: Scope, place: Place) -> bool:
        """Whether there is a value for each place of a template."""
        fine = True
        for slot in found.slots:
            kind, what = scope.get(slot.name), ""
            if kind is None:
                what = f"there is no variable {slot.name} here; there are {', '.join(sorted(scope)) or 'none'}"
            elif slot.path and kind not in ("json", "list"):
                what = f"{slot.name} is of type {kind}, and has no parts"
            elif not slot.path and kind == "list":
                what = f"{slot.name} is a list; name an item, as {slot.name}.0"
            if what:
                fine = False
                self.fault(place, what)
        return fine
