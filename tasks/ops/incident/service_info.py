"""The source `service`: whose it is, what it needs, what needs it, and what else is broken there."""

from blocks.progress import in_thread
from tasks.ops.incident.context import Finds
from tasks.ops.incident.intake import open_now
from tasks.ops.incident.scene import Scene


async def service_info(scene: Scene, finds: Finds) -> None:
    """Note what the services file says, and open incidents of the service's dependencies and dependents."""
    incident = scene.incident
    for why in scene.troubles:
        finds.gap("", why)
    if not incident.services:
        finds.gap("", "the alert names no service: it has no label for it, and no entry of the services file matches")
    for name in incident.services:
        if (one := scene.services.services.get(name)) is None:
            finds.gap(name, "the services file does not know it")
            continue
        told = [f"owner: {one.owner}" if one.owner else "", f"contact: {one.contact}" if one.contact else ""]
        told += [f"needs: {', '.join(one.depends_on)}" if one.depends_on else ""]
        told += [f"is needed by: {', '.join(others)}" if (others := scene.services.dependents(name)) else ""]
        told += [f"{page.title}: {page.url}" for page in one.dashboards]
        finds.fact(
            "service",
            f"{name}{f': {one.description}' if one.description else ''}",
            "\n".join(line for line in told if line),
            service=name,
            owner=one.owner,
            contact=one.contact,
        )
        if not one.owner:
            finds.gap(name, "the services file names no owner")
        for other in one.depends_on:
            finds.fact("dependency", f"{name} needs {other}", service=name, needs=other)
    await finds.look("other incidents", _others(scene, finds))


async def _others(scene: Scene, finds: Finds) -> None:
    around = {other for one in scene.known.values() for other in one.depends_on}
    around |= {other for name in scene.incident.services for other in scene.services.dependents(name)}
    for other in await in_thread(open_now, scene.files):
        shared = around & set(other.services)
        if other.incident_id != scene.incident.incident_id and shared:
            finds.fact(
                "incident",
                f"{other.incident_id} is {other.status}: {other.title}",
                at=other.began_at,
                incident=other.incident_id,
                service=", ".join(sorted(shared)),
            )
