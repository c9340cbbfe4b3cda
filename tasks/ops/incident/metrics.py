"""The source `metrics`: how a service's numbers went, from Prometheus."""

import asyncio
import json
import math
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from blocks.errors import BadInput, EngineFailed, EngineUnavailable
from blocks.settings import settings
from tasks.ops.incident.context import Finds
from tasks.ops.incident.scene import Scene
from tasks.ops.incident.services import Metric
from tasks.ops.runbook.metric import rendered
from tasks.ops.runbook.template import parse_template

POINTS = 60
MOST_BYTES = 4_000_000
MOST_SERIES = 5
AT_ONCE = 8
UP = "up"

Series = tuple[dict[str, str], list[tuple[float, float]]]


async def metrics(scene: Scene, finds: Finds) -> None:
    """Ask Prometheus what the services file names, and whether the alert's own targets are up."""
    if settings().prometheus_url is None:
        finds.gap("", "there is no Prometheus: PROMETHEUS_URL is not set")
        return
    looks = [
        (f"{metric.name} of {service}", partial(_metric, scene, finds, service, metric))
        for service in scene.incident.services
        for metric in (*scene.services.metrics, *_of(scene, service))
    ]
    target = {name: scene.first.labels[name] for name in ("job", "instance") if name in scene.first.labels}
    if target:
        looks.append(("up", partial(_up, scene, finds, target)))
    if not looks:
        finds.gap("", "the services file names no metrics for it, and the alert has no labels `job` and `instance`")
    few = asyncio.Semaphore(AT_ONCE)

    async def look(what: str, looked: Any) -> None:
        async with few:
            await finds.look(what, looked())

    await asyncio.gather(*(look(what, looked) for what, looked in looks))


async def _metric(scene: Scene, finds: Finds, service: str, metric: Metric) -> None:
    query = rendered(parse_template(metric.query), scene.values(service))
    series = await ask_range(query, scene.since, scene.now())
    if not series:
        finds.gap(f"{metric.name} of {service}", "Prometheus has no samples of it")
    for labels, samples in series[:MOST_SERIES]:
        _note(scene, finds, f"{metric.name} of {service}", metric, labels, samples, query, service=service)
    if len(series) > MOST_SERIES:
        finds.gap(f"{metric.name} of {service}", f"{len(series) - MOST_SERIES} more series are not shown")


async def _up(scene: Scene, finds: Finds, target: dict[str, str]) -> None:
    wanted = ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sorted(target.items()))
    metric = Metric(name=UP, query=UP, below=1)
    for labels, samples in (await ask_range(f"{UP}{{{wanted}}}", scene.since, scene.now()))[:MOST_SERIES]:
        _note(scene, finds, "target is up", metric, labels, samples, UP, target=labels.get("instance", ""))


def _of(scene: Scene, service: str) -> tuple[Metric, ...]:
    known = scene.known.get(service)
    return known.metrics if known else ()


def _note(
    scene: Scene,
    finds: Finds,
    title: str,
    metric: Metric,
    labels: dict[str, str],
    samples: Sequence[tuple[float, float]],
    query: str,
    **more: str,
) -> None:
    """What a series says, before the alert began and since."""
    began = scene.incident.began_at.timestamp()
    before, since = [v for at, v in samples if at < began], [v for at, v in samples if at >= began]
    last = samples[-1][1]
    usual = sum(before) / len(before) if before else None
    unit = f" {metric.unit}" if metric.unit else ""
    told = f"now {last:g}{unit}"
    if usual is not None:
        told += f", before {usual:g}{unit}"
    if since:
        told += f", since then {min(since):g} to {max(since):g}{unit}"
    about = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()) if name != "__name__")
    finds.fact(
        "metric",
        f"{title}: {told}",
        f"{about}\n{query}".strip(),
        at=scene.now(),
        name=metric.name,
        query=query,
        last=last,
        usual=usual,
        above=metric.above,
        below=metric.below,
        **more,
    )


async def ask_range(query: str, since: datetime, until: datetime) -> list[Series]:
    """The series of a query between two moments, without values that are no numbers.

    Raises:
        EngineUnavailable: Prometheus does not answer.
        BadInput: it refuses the query.
        EngineFailed: what answers is no Prometheus.
    """
    step = max(1, int((until - since).total_seconds()) // POINTS)
    fields = {"query": query, "start": f"{since.timestamp():.3f}", "end": f"{until.timestamp():.3f}", "step": str(step)}
    content = await _asked("query_range", fields)
    if content.get("status") != "success":
        told = str(content.get("error"))[:200]
        raise BadInput(f"Prometheus refuses the query: {told}", fix="correct it in the services file")
    try:
        return [
            (one["metric"], samples)
            for one in content["data"]["result"]
            if (samples := [(float(at), float(v)) for at, v in one["values"] if math.isfinite(float(v))])
        ]
    except (KeyError, TypeError, ValueError):
        raise _garbage() from None


async def _asked(path: str, fields: dict[str, str]) -> dict[str, Any]:
    import httpx

    chosen = settings()
    token = chosen.prometheus_token
    headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
    address, body = f"{str(chosen.prometheus_url).rstrip('/')}/api/v1/{path}", bytearray()
    try:
        async with (
            httpx.AsyncClient(timeout=30, trust_env=False) as http,
            http.stream("POST", address, data=fields, headers=headers) as answer,
        ):
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise EngineFailed(f"Prometheus answers with more than {MOST_BYTES} bytes", fix="sum the query")
    except httpx.HTTPError as error:
        why = str(error) or type(error).__name__
        raise EngineUnavailable(f"Prometheus does not answer: {why}", fix="look whether it runs") from None
    try:
        content: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise _garbage() from None
    if not isinstance(content, dict):
        raise _garbage()
    return content  # pyright: ignore[reportUnknownVariableType]


def _garbage() -> EngineFailed:
    return EngineFailed("what answers at PROMETHEUS_URL is no Prometheus", fix="correct PROMETHEUS_URL")
