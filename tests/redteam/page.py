"""The page of the docs that tells what is tried: `python -m tests.redteam.page` writes its table anew."""

from pathlib import Path

from tests.redteam.case import AnyCase, Category, RunCase, categories

PAGE = Path(__file__).parents[2] / "docs" / "agents" / "red-team.md"
BEGIN, END = "<!-- begin of the cases -->", "<!-- end of the cases -->"


def table(found: tuple[Category, ...]) -> str:
    """All cases, by category."""
    count = sum(len(category.cases) for category in found)
    lines = [f"{count} cases in {len(found)} categories.", ""]
    for category in found:
        lines += [f"### {category.category}", "", category.about.strip(), ""]
        lines += ["| case | what the attacker tries | how it ends |", "|---|---|---|"]
        lines += [f"| `{case.id}` | {_cell(case.about)} | {_end(case)} |" for case in category.cases]
        lines.append("")
    return "\n".join(lines)


def page(content: str) -> str:
    """The page with the table of the cases as they are."""
    before, _, rest = content.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table(categories())}\n{END}{after}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _end(case: AnyCase) -> str:
    """How a case ends, with what stops it."""
    if case.driver == "audit":
        return f"found: {', '.join(dict.fromkeys(case.faults))}" if case.faults else "undone, and told"
    if not isinstance(case, RunCase):
        return "blocked: budget"
    rules = dict.fromkeys(one.rule for one in case.expected.records if one.rule not in (None, "unattended"))
    by = f": `{'`, `'.join(rule for rule in rules if rule)}`" if rules else ""
    return f"{case.expected.ends}{by}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
