"""One number from Prometheus."""

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from blocks.errors import BadInput, EngineUnavailable
from tasks.ops.runbook.template import Template, shown

Query = Callable[[str], Awaitable[float | None]]
"""Takes a query; gives the number, or None where there is no sample."""

QUERY_S = 15


def rendered(query: Template, values: Mapping[str, Any]) -> str:
    """A query with its values as texts of PromQL: none ends the quotes that it stands in."""
    return "".join(part if isinstance(part, str) else _escaped(shown(part, values)) for part in query.parts)


def unquoted(query: Template) -> bool:
    """Whether a value would stand outside of double quotes."""
    quoted = False
    for part in query.parts:
        if not isinstance(part, str):
            if not quoted:
                return True
            continue
        escaped = False
        for char in part:
            if char == '"' and not escaped:
                quoted = not quoted
            if char in "'`" and not quoted:
                return bool(query.slots)  # other quotes have other rules; only double ones are used around values
            escaped = char == "\\" and not escaped
    return False


async def ask_prometheus(query: str) -> float | None:
    """The number that a query gives now; None: there is no sample, or it is no number.

    Raises:
        BadInput: there is no Prometheus, or it gives several numbers.
        EngineUnavailable: it does not answer.
    """
    import httpx

    from blocks.settings import settings

    chosen = settings()
    if chosen.prometheus_url is None:
        raise BadInput("there is no Prometheus", fix="set PROMETHEUS_URL", field="metric")
    token = chosen.prometheus_token
    headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
    address = f"{str(chosen.prometheus_url).rstrip('/')}/api/v1/query"
    try:
        async with httpx.AsyncClient(timeout=QUERY_S, trust_env=False) as http:
            answer = await http.post(address, data={"query": query}, headers=headers)
            content: Any = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise EngineUnavailable(f"Prometheus does not answer: {error}", fix="look whether it runs") from error
    return number_of(content)


def number_of(answer: Any) -> float | None:
    """The one number of an answer of Prometheus. Raises `BadInput`, `EngineUnavailable`."""
    if answer.get("status") != "success":
        raise BadInput(
            f"Prometheus refuses the query: {str(answer.get('error'))[:300]}", fix="correct it", field="metric"
        )
    data = answer["data"]
    samples = [data["result"]] if data["resultType"] == "scalar" else [one["value"] for one in data["result"]]
    if len(samples) > 1:
        raise BadInput(f"the query gives {len(samples)} numbers", fix="sum or narrow it", field="metric")
    value = float(samples[0][1]) if samples else math.nan
    return value if math.isfinite(value) else None


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
