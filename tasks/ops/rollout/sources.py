"""Where metrics come from: a Prometheus server, or a recorded CSV file."""

import csv
import math
from bisect import bisect_right
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from blocks.errors import BadInput, NotFound
from blocks.plain_text import cut, plain
from blocks.secret_reference import secret_at
from tasks.ops.rollout.plan import RolloutPlan

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 20.0
MOST_BYTES = 1_000_000
COLUMNS = ("at", "series", "value")


@dataclass(frozen=True)
class Value:
    """What a query gave.

    Attributes:
        value: The value; may be infinite, and no number where 0 was divided by 0. None: there is none.
        at: Seconds since 1970.
        why: Why there is none.
    """

    value: float | None
    at: float
    why: str = ""


class MetricSource(Protocol):
    """Gives values of queries."""

    waits: bool
    """Whether time passes between two looks; a recording is played back at once."""

    async def value(self, query: str, look: int) -> Value:
        """The value of a query now, at a look with this number. Raises `BadInput`: it is no query."""
        ...


@asynccontextmanager
async def opened_source(plan: RolloutPlan) -> AsyncGenerator[MetricSource]:
    """The source of a plan.

    Raises:
        NotFound, BadInput: its file or its token is not there or is wrong.
    """
    source = plan.source
    if source.csv is not None:
        yield Recorded(read_recorded(plan.folder / source.csv.expanduser()), plan.interval_s, source.stale_s)
        return
    import httpx

    token = await secret_at(source.token, plan.folder, "source.token")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(base_url=str(source.prometheus), headers=headers, timeout=TIMEOUT_S) as client:
        yield Prometheus(client)


class Prometheus:
    """A Prometheus server, by its HTTP API.

    Args:
        client: With its address.
    """

    waits = True

    def __init__(self, client: "httpx.AsyncClient") -> None:
        self._client = client

    async def value(self, query: str, look: int) -> Value:
        """See `MetricSource.value`."""
        import httpx

        now = datetime.now(UTC).timestamp()
        try:
            answer = await self._client.post("/api/v1/query", data={"query": query, "timeout": f"{TIMEOUT_S:g}s"})
            if len(answer.content) > MOST_BYTES:
                return Value(None, now, "the answer is too large; aggregate the query")
            body: dict[str, Any] = answer.json()
            if body.get("errorType") == "bad_data":
                raise BadInput(
                    f"Prometheus does not take {cut(plain(query), 200)}: {cut(plain(str(body.get('error'))), 300)}",
                    fix="correct the query",
                    field="metrics",
                )
            if body.get("status") != "success":
                return Value(None, now, f"Prometheus: {cut(plain(str(body.get('error'))), 200)}")
            return _instant(body["data"], now)
        except (httpx.HTTPError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            return Value(None, now, f"Prometheus does not answer: {type(error).__name__} {cut(plain(str(error)), 200)}")


def _instant(data: dict[str, Any], now: float) -> Value:
    """The one value of an answer."""
    found = data["result"]
    if data["resultType"] == "scalar":
        return Value(float(found[1]), float(found[0]))
    if not found:
        return Value(None, now, "no series")
    if len(found) > 1:
        return Value(None, now, f"{len(found)} series where one was wanted; aggregate the query")
    at, value = found[0]["value"]
    return Value(float(value), float(at))


class Recorded:
    """A recording, played back: look n is n intervals after its beginning.

    Args:
        series: By name, times and values in order of time.
        interval_s: Seconds between two looks.
        stale_s: How long a value stands.
    """

    waits = False

    def __init__(self, series: dict[str, list[tuple[float, float]]], interval_s: float, stale_s: float) -> None:
        self._series, self._interval_s, self._stale_s = series, interval_s, stale_s
        self._begin = min(points[0][0] for points in series.values())

    async def value(self, query: str, look: int) -> Value:
        """See `MetricSource.value`."""
        now = self._begin + look * self._interval_s
        points = self._series.get(query)
        if points is None:
            known = ", ".join(sorted(self._series))
            raise BadInput(
                f"the recording has no series {cut(plain(query), 200)}", fix=f"use one of {known}", field="metrics"
            )
        index = bisect_right(points, (now, math.inf)) - 1
        if index < 0:
            return Value(None, now, "nothing recorded yet")
        at, value = points[index]
        return (
            Value(value, at) if now - at <= self._stale_s else Value(None, now, f"the last value is {now - at:g} s old")
        )


def read_recorded(path: Path) -> dict[str, list[tuple[float, float]]]:
    """The series of a file.

    Raises:
        NotFound, BadInput: it is not there, or is wrong; the line is named.
    """
    series: dict[str, list[tuple[float, float]]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            for line, row in enumerate(_rows(csv.reader(stream), path), 2):
                try:
                    series.setdefault(row[1], []).append((_moment(row[0]), float(row[2])))
                except (ValueError, IndexError):
                    raise _bad(path, f"line {line} has no time, series and number") from None
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", fix="check the path", field="source.csv") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _bad(path, str(error)) from error
    if not series:
        raise _bad(path, "it has no values")
    # By time only, so that of two values of one time the later line stands.
    return {name: sorted(points, key=lambda one: one[0]) for name, points in series.items()}


def _rows(rows: Any, path: Path) -> Sequence[list[str]]:
    listed = [row for row in rows if row]
    if not listed or tuple(name.strip() for name in listed[0]) != COLUMNS:
        raise _bad(path, f"its first line is not {','.join(COLUMNS)}")
    return listed[1:]


def _moment(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _bad(path: Path, why: str) -> BadInput:
    return BadInput(f"{path} cannot be used: {why}", fix=f"give a CSV with {','.join(COLUMNS)}", field="source.csv")
