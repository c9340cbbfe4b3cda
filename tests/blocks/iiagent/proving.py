"""Holding a served session against checks."""

import csv
import io
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter

from blocks.iiagent.checks import Check, Proven, prove
from tests.blocks.iiagent.files import Served

CHECK: TypeAdapter[Check] = TypeAdapter(Check)


def table(rows: Iterable[Iterable[object]], *, header: str = "row_id,topic,text", start: str = "") -> str:
    """A CSV file."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(header.split(","))
    writer.writerows(rows)
    return start + stream.getvalue()


async def held(at: Served, *checks: dict[str, Any], message: str = "", known: Iterable[str] = ()) -> Proven:
    """What checks find: the same over HTTP and from the disk."""
    parsed = [CHECK.validate_python(check) for check in checks]
    over_http = await prove(parsed, at.over_http(*known), message)
    mounted = await prove(parsed, at.mounted(), message)
    assert over_http == mounted
    return over_http
