"""The source `runbooks`: which are for these alerts, and how each would be run."""

from collections.abc import Iterable, Sequence
from shlex import join

from blocks.progress import in_thread
from blocks.settings import settings
from tasks.ops.incident.context import Context, Fact, Finds, SourceReport
from tasks.ops.incident.scene import Scene, alert_of
from tasks.ops.runbook.alert import Alert, matching, told_by
from tasks.ops.runbook.form import Runbook
from tasks.ops.runbook.reading import readable

MOST_ALERTS = 20


async def runbooks(scene: Scene, finds: Finds) -> list[Runbook]:
    """Read the runbooks, and note those whose triggers match an alert; gives all that can be read."""
    folder = settings().runbooks_dir.expanduser()
    if not folder.is_dir():
        finds.gap("", "there is no folder of runbooks: RUNBOOKS_DIR")
        return []
    sources, wrong = await in_thread(readable, folder)
    for error in wrong:
        finds.gap("a runbook", error.message.splitlines()[0])
    books = [source.runbook for source in sources]
    _note(finds, books, [alert_of(one) for one in (scene.incident.firing or scene.incident.alerts)[:MOST_ALERTS]])
    return books


def by_context(context: Context, scene: Scene, books: Sequence[Runbook]) -> Context:
    """The context with the runbooks whose triggers match metrics and lines of logs that were found."""
    lines = tuple(line for fact in context.of("log_errors", "log_lines") for line in fact.text.splitlines())
    alerts = [alert_of(scene.first, log_lines=lines)]
    for fact in context.of("metric"):
        for name in {str(fact.values["name"]), str(fact.values["query"])}:
            last = fact.values["last"]
            value = float(last) if isinstance(last, int | float) else None
            alerts.append(alert_of(scene.first, metric=name, value=value))
    known = {str(fact.values["runbook"]) for fact in context.of("runbook")}
    finds = Finds("runbooks", scene.clean, facts=[fact for fact in context.facts if fact.source == "runbooks"])
    _note(finds, [book for book in books if book.name not in known], alerts)
    return context.model_copy(update={"reports": tuple(_with(report, finds.facts) for report in context.reports)})


def _with(report: SourceReport, facts: list[Fact]) -> SourceReport:
    return report.model_copy(update={"facts": tuple(facts)}) if report.source == "runbooks" else report


def _note(finds: Finds, books: Iterable[Runbook], alerts: Sequence[Alert]) -> None:
    noted: set[str] = set()
    for alert in alerts:
        for book in matching(books, alert):
            if book.name in noted:
                continue
            noted.add(book.name)
            told = {name: told_by(alert, one.alert) for name, one in book.parameters.items() if one.alert}
            missing = [name for name, one in book.parameters.items() if one.default is None and told.get(name) is None]
            given = ", ".join(f"{name}={value}" for name, value in told.items() if value is not None)
            finds.fact(
                "runbook",
                f"{book.name}: {book.description}",
                f"{len(book.steps)} steps{f'; from the alert: {given}' if given else ''}",
                runbook=book.name,
                steps=len(book.steps),
                missing=join(missing),
                alert=alert.name,
            )
