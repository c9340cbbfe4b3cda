"""The tool that asks a Prometheus server."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from pydantic import AwareDatetime, Field

from blocks.errors import BadInput, EngineFailed, EngineUnavailable, NotAllowed, TimedOut
from blocks.model import Frozen
from blocks.plain_text import cut, visible
from blocks.web_address import web_address
from tasks.agents.tool import Call, Tool
from tasks.agents.tools.web.call import WebAnswer, WebLimits, WebRequest, call_web

TIMEOUT_S = 20.0
MOST_BYTES = 5_000_000
MOST_SERIES = 50
MOST_POINTS = 600
"""Values of all series together that a model is shown."""

MOST_STEPS = 400
USUAL_STEPS = 60
LABEL_CHARS = 200


class QueryPrometheus(Frozen):
    """Arguments of `query_prometheus`."""

    query: str = Field(min_length=1, max_length=4000, description="PromQL; aggregate, so that few series come back")
    at: AwareDatetime | None = Field(default=None, description="For when, ISO 8601 with time zone; None: now")
    range_s: int | None = Field(
        default=None, ge=1, le=31 * 86_400, description="Seconds up to then; None: only the value at that time"
    )
    step_s: int | None = Field(
        default=None, ge=1, le=31 * 86_400, description=f"Seconds between two values; None: {USUAL_STEPS} steps"
    )


def tools(url: str, headers: Mapping[str, str] | None = None) -> tuple[Tool[Any], ...]:
    """`query_prometheus` for this server.

    Rules see no host of it: the operator chose it, and no argument of a call can choose another.

    Args:
        url: Its address, as `http://prometheus:9090`; it may be in a private network.
        headers: Sent along, as `Authorization`; the model never sees them.

    Raises:
        BadInput: the URL is none.
    """
    server = web_address(url)
    limits = WebLimits(private=(server.place,), most_bytes=MOST_BYTES, timeout_s=TIMEOUT_S)
    sent = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json", **(headers or {})}

    async def query(arguments: QueryPrometheus, _call: Call) -> dict[str, Any]:
        path, fields = _question(arguments, datetime.now(UTC))
        request = WebRequest(
            method="POST",
            url=f"{server.url.rstrip('/')}/api/v1/{path}",
            headers=sent,
            content=urlencode(fields).encode(),
        )
        return _series(_data(await call_web(request, limits)))

    return (
        Tool(
            name="query_prometheus",
            description="Ask Prometheus for metrics of this system, at one time or over a range. Values come as "
            "[Unix time, value].",
            arguments=QueryPrometheus,
            call=query,
            risk="low",
            reversible=True,
            read_only=True,
            labels=frozenset({"untrusted"}),
            timeout_s=TIMEOUT_S + 10,
            polls=True,
        ),
    )


def _question(arguments: QueryPrometheus, now: datetime) -> tuple[str, dict[str, str]]:
    """Path and fields of a query."""
    end = (arguments.at or now).timestamp()
    asked = {"query": arguments.query, "timeout": f"{TIMEOUT_S:g}s"}
    if arguments.range_s is None:
        return "query", {**asked, "time": f"{end:.3f}"}
    step_s = arguments.step_s or max(1, arguments.range_s // USUAL_STEPS)
    if arguments.range_s / step_s > MOST_STEPS:
        least = -(-arguments.range_s // MOST_STEPS)
        raise BadInput(
            f"{arguments.range_s} s in steps of {step_s} s are more than {MOST_STEPS} values",
            fix=f"use step_s={least} or more, or leave it out",
            field="step_s",
        )
    return "query_range", {
        **asked,
        "start": f"{end - arguments.range_s:.3f}",
        "end": f"{end:.3f}",
        "step": str(step_s),
    }


def _data(answer: WebAnswer) -> dict[str, Any]:
    """What an answer of Prometheus holds.

    Raises:
        BadInput: the query is wrong.
        NotAllowed, TimedOut, EngineUnavailable, EngineFailed: Prometheus did not answer it.
    """
    if answer.truncated:
        raise BadInput(
            f"the answer has more than {MOST_BYTES} bytes", fix="aggregate with sum by (…) or topk", field="query"
        )
    try:
        body: dict[str, Any] = json.loads(answer.content)
        if body["status"] == "success":
            return body["data"]
        told = f"Prometheus: {cut(visible(str(body.get('error'))), 500)}"
    except (ValueError, KeyError, TypeError):
        body, told = {}, f"Prometheus answers {answer.status}, and nothing that can be read"
    if answer.status in (401, 403):
        raise NotAllowed(told, fix="ask the operator to let us ask this server")
    if body.get("errorType") == "bad_data":
        raise BadInput(told, fix="correct the query", field="query")
    if body.get("errorType") in ("timeout", "canceled"):
        raise TimedOut(told, fix="ask for fewer series or a shorter range")
    if answer.status in (429, 502, 503, 504):
        raise EngineUnavailable(told, fix="try again later")
    raise EngineFailed(told, fix="change the query, or ask the operator to look at Prometheus")


def _shown(text: Any) -> str:
    """A label's name or value: others write both."""
    return cut(visible(str(text)), LABEL_CHARS)


def _series(data: dict[str, Any]) -> dict[str, Any]:
    """The result, cut to what a model can read."""
    kind, found = data.get("resultType"), data.get("result", [])
    if kind in ("scalar", "string"):
        return {"type": kind, "value": found}
    shown: list[dict[str, Any]] = []
    points = 0
    for one in found[:MOST_SERIES]:
        values: list[Any] = one.get("values") or one.get("histograms") or [one.get("value", one.get("histogram"))]
        points += len(values)
        if points > MOST_POINTS and shown:
            break
        labels = {_shown(name): _shown(text) for name, text in one.get("metric", {}).items()}
        shown.append({"labels": labels, "values": values[-MOST_POINTS:]})
    facts: dict[str, Any] = {"type": kind, "series": shown}
    if len(shown) < len(found):
        facts["more"] = f"{len(found) - len(shown)} more series: aggregate with sum by (…), or use topk"
    return facts
