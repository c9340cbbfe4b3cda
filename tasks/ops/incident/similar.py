"""The source `similar`: cases of the library that are like this."""

from threading import Thread

from blocks.progress import in_thread
from tasks.ops.cases.library import open_library
from tasks.ops.incident.context import Finds
from tasks.ops.incident.scene import Scene

MOST_CASES = 5


async def similar(scene: Scene, finds: Finds) -> None:
    """Search the case library by what the alerts say."""
    library, incident = await in_thread(open_library), scene.incident
    try:
        found = await library.search(question_of(scene), most=MOST_CASES, but=f"case-{incident.incident_id}")
    finally:
        # Not here: it waits for a search that was cut off and still hangs, and the briefing would wait with it.
        Thread(target=library.close, daemon=True).start()
    for why in library.unread:
        finds.gap("", why)
    for one in found:
        case = one.case
        finds.fact(
            "case",
            f"{case.title} ({case.case_id}, {one.similarity:.0%} alike)",
            "\n".join(
                f"{name}: {text}"
                for name, text in (("seen", case.symptoms), ("cause", case.cause), ("what helped", case.resolution))
                if text
            ),
            at=case.began_at,
            case_id=case.case_id,
            similarity=round(one.similarity, 4),
            cause=case.cause,
            resolution=case.resolution,
        )


def question_of(scene: Scene) -> str:
    """What the incident is about, in words."""
    alerts = scene.incident.firing or scene.incident.alerts
    told = [scene.incident.title, *scene.incident.services]
    for alert in alerts[:5]:
        told += [alert.name, *alert.annotations.values()]
    return " ".join(dict.fromkeys(told))[:2000]
