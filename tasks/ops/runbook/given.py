"""What a run is told: values for the parameters of a runbook, from people and from an alert."""

from collections.abc import Mapping
from typing import Any

from blocks.errors import BadInput
from blocks.hosts import Inventory
from tasks.ops.runbook.alert import Alert, told_by
from tasks.ops.runbook.form import Parameter, Runbook
from tasks.ops.runbook.template import UNKNOWN


def bound(book: Runbook, given: Mapping[str, Any], alert: Alert | None, inventory: Inventory) -> dict[str, Any]:
    """The values of all parameters: what was given, else what the alert says, else the default.

    Raises:
        BadInput: one is missing, unknown or not what it has to be; the value itself is not repeated.
    """
    if unknown := sorted(set(given) - set(book.parameters)):
        known = ", ".join(book.parameters) or "none"
        raise BadInput(
            f"{book.name} has no parameter {unknown[0]!r:.60}", fix=f"it has {known}", field=f"{unknown[0]:.60}"
        )
    values: dict[str, Any] = {}
    for name, parameter in book.parameters.items():
        raw = given.get(name)
        if raw is None and alert is not None and parameter.alert is not None:
            raw = told_by(alert, parameter.alert)
        if raw is None:
            raw = parameter.default
        if raw is None:
            where = f", or an alert that has {parameter.alert}" if parameter.alert else ""
            raise BadInput(f"{book.name} needs {name}", fix=f"give -p {name}=VALUE{where}", field=name)
        values[name] = cast(name, parameter, raw, inventory)
    return values


def cast(name: str, parameter: Parameter, raw: Any, inventory: Inventory) -> Any:
    """A value as its parameter has it. Raises `BadInput`."""
    if raw is UNKNOWN:
        return raw
    try:
        value = parameter.cast(raw)
    except ValueError as error:
        raise BadInput(f"{name} cannot be used: {error}", fix=f"give another value for {name}", field=name) from None
    if parameter.type == "host" and value not in inventory.named:
        known = ", ".join(sorted(inventory.named))
        raise BadInput(f"{name} names no host of the inventory", fix=f"there are {known}", field=name)
    return value
