"""The contracts as Markdown: the second half of docs/contracts.md, made from the models."""

from collections.abc import Iterator
from typing import Any

from blocks.contracts.registry import MODELS, Contract, contract

BEGIN = "<!-- made from the models: python -m blocks.contracts.reference -->"

KINDS = {"float64": "number", "int64": "whole number", "object": "text"}


def reference() -> str:
    """A table of all contracts, and one of the columns and rules of each."""
    held = [contract(name) for name in MODELS]
    overview = [f"| [{one.name}](#{_anchor(one.name)}) | {one.about} | {one.stands} |" for one in held]
    lines = [
        BEGIN,
        "",
        "## All contracts",
        "",
        "| contract | a row is | where it is in force |",
        "|---|---|---|",
        *overview,
    ]
    for one in held:
        lines += ["", *_section(one)]
    return "\n".join(lines) + "\n"


def _section(one: Contract) -> Iterator[str]:
    yield f"## {one.name}"
    yield ""
    yield f"{one.about} Where a table breaks it: {one.fix}."
    yield ""
    yield "| column | holds | what it is | rules |"
    yield "|---|---|---|---|"
    for name, column in one.schema.columns.items():
        yield f"| `{name}` | {_kind(column)} | {column.description or ''} | {'; '.join(_rules(one, name, column))} |"


def _kind(column: Any) -> str:
    return KINDS[str(column.dtype)] + (", may be missing" if column.nullable else "")


def _rules(one: Contract, name: str, column: Any) -> Iterator[str]:
    from blocks.contracts.faults import must

    yield from (must(check) for check in column.checks)
    if column.unique:
        yield "be there once only"
    yield from (must(check) for check in one.schema.checks if check.title == name)


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


if __name__ == "__main__":
    print(reference(), end="")
