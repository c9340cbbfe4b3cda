"""Where histories come from: files, and Prometheus."""

import csv
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from blocks.errors import BadInput, EngineFailed, EngineUnavailable, NotFound
from blocks.plain_text import cut, plain
from blocks.progress import in_thread
from blocks.settings import settings
from tasks.ops.capacity.history import Samples
from tasks.ops.capacity.plan import FromCsv, FromPrometheus, Resource

MOST_ROWS = 2_000_000
MOST_SERIES = 50
POINTS_AT_ONCE = 10_000
"""Prometheus gives 11,000 points of a series at most."""

ASK_S = 60
HOUR_S = 3600
LEAST_POINTS = 400
LABELS_CHARS = 120

Series = tuple[dict[str, str], list[tuple[float, float]]]
"""Labels, and points of time and value."""


async def samples_of(resource: Resource, folder: Path, now: datetime) -> list[Samples]:
    """The histories of a resource: several, where a query gives several series.

    Raises:
        NotFound, BadInput: the file or the query cannot be used.
        EngineUnavailable, EngineFailed: Prometheus does not answer as it should.
    """
    if isinstance(resource.source, FromCsv):
        assert resource.limit is not None  # noqa: S101 - the plan's form sees to it
        return [await in_thread(read_csv, resource.source, folder, resource.name, resource.limit)]
    return await _from_prometheus(resource, resource.source, now)


def read_csv(source: FromCsv, folder: Path, name: str, limit: float) -> Samples:
    """The history of a file. Raises `NotFound`, `BadInput`."""
    path = folder / source.file.expanduser()
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return _read_rows(csv.DictReader(stream), source, str(path), name, limit)
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", fix="check the path", field="file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} cannot be read as CSV: {error}", fix="correct the file", field="file") from error


def _read_rows(rows: "csv.DictReader[str]", source: FromCsv, path: str, name: str, limit: float) -> Samples:
    for field, column in (("time", source.time), ("value", source.value)):
        if column not in (rows.fieldnames or ()):
            known = ", ".join(rows.fieldnames or ()) or "none"
            raise BadInput(f"{path} has no column {column}", fix=f"name one of its columns: {known}", field=field)
    times: list[float] = []
    values: list[float] = []
    dropped, first_bad = 0, 0
    for row in rows:
        if len(times) >= MOST_ROWS:
            raise BadInput(f"{path} has more than {MOST_ROWS} rows", fix="give fewer, as one an hour", field="file")
        time_s = moment_of(row[source.time] or "")
        if time_s is None:
            dropped, first_bad = dropped + 1, first_bad or rows.line_num
            continue
        times.append(time_s)
        values.append(number_of(row[source.value] or ""))
    if dropped > len(times):
        told = f"{path}:{first_bad}: most rows have no time that can be read"
        raise BadInput(told, fix="give ISO 8601, or Unix time in seconds", field="time")
    return Samples(name=name, times_s=tuple(times), values=tuple(values), limit=limit, dropped=dropped)


def moment_of(text: str) -> float | None:
    """A moment as Unix time; None: it is none."""
    text = text.strip()
    try:
        number = float(text)
        return number if 0 <= number < 1e11 else None
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def number_of(text: str) -> float:
    """A value; NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


async def _from_prometheus(resource: Resource, source: FromPrometheus, now: datetime) -> list[Samples]:
    end = now.timestamp()
    span_s = source.days * 86_400
    step = source.step_s or max(15, min(HOUR_S, int(span_s / LEAST_POINTS)))
    found: dict[tuple[tuple[str, str], ...], Series] = {}
    at = (end - span_s) // step * step  # on the hour, where it is an hour: the same questions give the same answers
    while at < end:
        until = min(end, at + step * POINTS_AT_ONCE)
        asked = {"query": source.query, "start": f"{at:.3f}", "end": f"{until:.3f}", "step": str(step)}
        for labels, points in _series(await _ask("query_range", asked)):
            found.setdefault(tuple(sorted(labels.items())), (labels, []))[1].extend(points)
        at = until + step
    if not found:
        raise await _without_series(resource.name, source, step)
    if len(found) > MOST_SERIES:
        told = f"{resource.name}: the query gives {len(found)} series"
        raise BadInput(told, fix=f"aggregate or narrow it to {MOST_SERIES}", field="query")
    limits = [] if source.limit_query is None else _series(await _ask("query", {"query": source.limit_query}))
    telling = _telling([labels for labels, _ in found.values()])
    return [
        Samples(
            name=f"{resource.name}{_shown(labels, telling)}",
            times_s=tuple(time_s for time_s, _ in points),
            values=tuple(value for _, value in points),
            limit=_limit(resource, labels, limits),
        )
        for _, (labels, points) in sorted(found.items())
    ]


async def _without_series(name: str, source: FromPrometheus, step_s: int) -> NotFound:
    """Why there is no history: Prometheus has values now, and none yet when it was asked for, or it knows none."""
    if _series(await _ask("query", {"query": source.query})):
        return NotFound(
            f"{name}: Prometheus has values now, but none yet at the moments of the history, every {step_s} s",
            fix="wait until it has gathered some, or set a smaller step_s",
            field="query",
        )
    told = f"{name}: the query gives no series in {source.days:g} days"
    return NotFound(told, fix="correct the query, or look whether Prometheus gathers it", field="query")


def _limit(resource: Resource, labels: Mapping[str, str], limits: Sequence[Series]) -> float:
    """The limit with the same labels, or the only one. NaN: there is none."""
    if resource.limit is not None:
        return resource.limit
    own = [points for told, points in limits if told == labels] or [points for _, points in limits if len(limits) == 1]
    return own[0][-1][1] if own and own[0] else math.nan


async def _ask(path: str, fields: Mapping[str, str]) -> Any:
    import httpx

    chosen = settings()
    if chosen.prometheus_url is None:
        raise BadInput("there is no Prometheus", fix="set PROMETHEUS_URL", field="query")
    token = chosen.prometheus_token
    headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
    address = f"{str(chosen.prometheus_url).rstrip('/')}/api/v1/{path}"
    try:
        async with httpx.AsyncClient(timeout=ASK_S, trust_env=False) as http:
            answer = await http.post(address, data=dict(fields), headers=headers)
            body: Any = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise EngineUnavailable(f"Prometheus does not answer: {error}", fix="look whether it runs") from error
    content = cast(dict[str, Any], body) if isinstance(body, dict) else {}
    if content.get("status") == "success":
        return content.get("data")
    told = plain(cut(str(content.get("error")), 300))
    if content.get("errorType") == "bad_data":
        raise BadInput(f"Prometheus refuses the query: {told}", fix="correct it", field="query")
    raise EngineFailed(f"Prometheus answers {answer.status_code}: {told}", fix="look at Prometheus")


def _series(data: Any) -> list[Series]:
    try:
        if data["resultType"] == "scalar":
            return [({}, [_point(data["result"])])]
        return [
            (_labels(one["metric"]), [_point(pair) for pair in one.get("values") or [one["value"]]])
            for one in data["result"]
        ]
    except (KeyError, TypeError, ValueError, IndexError):
        raise EngineFailed("Prometheus answers something else than series", fix="correct the query") from None


def _labels(metric: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(text) for name, text in metric.items() if name != "__name__"}


def _point(pair: Sequence[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])


def _telling(all_labels: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """Names of the labels in which some series differ; what all have in common tells nobody which is which."""
    names = sorted({name for labels in all_labels for name in labels})
    return tuple(name for name in names if len({labels.get(name) for labels in all_labels}) > 1)


def _shown(labels: Mapping[str, str], telling: Sequence[str]) -> str:
    """Labels for people, on one line: others write them."""
    parts = [f"{plain(name)}={plain(labels[name])}" for name in telling if name in labels]
    return f"{{{cut(', '.join(parts), LABELS_CHARS)}}}" if telling else ""
