"""Word from the server that a run of a pool is due, so that a worker need not ask all the time."""

import asyncio
import logging
from uuid import UUID

from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventAnyResourceFilter, EventFilter, EventNameFilter

DUE = ["prefect.flow-run.Scheduled", "prefect.flow-run.AwaitingRetry", "prefect.flow-run.Late"]

RECONNECT_S = 5.0


async def hear(
    pool_id: UUID, due: asyncio.Event, log: "logging.Logger | logging.LoggerAdapter[logging.Logger]"
) -> None:
    """Set `due` whenever a run of the pool was scheduled; while nothing can be heard, the worker's polls find it."""
    wanted = EventFilter(
        event=EventNameFilter(name=DUE),
        any_resource=EventAnyResourceFilter(id=[f"prefect.work-pool.{pool_id}"]),
    )
    while True:
        try:
            async with get_events_subscriber(filter=wanted) as events:
                async for _ in events:
                    due.set()
        except Exception as error:  # noqa: BLE001 - any failure means the same: try again, polls go on meanwhile
            log.debug("no events from the server: %r", error)
        await asyncio.sleep(RECONNECT_S)
