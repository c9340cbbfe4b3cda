"""HTTP to an IP address that was checked before, under the name of the host that was asked for."""

import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from blocks.web_address import WebAddress

if TYPE_CHECKING:
    import httpx


@lru_cache(maxsize=1)
def trusted_certificates() -> ssl.SSLContext:
    """Certificates of this machine (or SSL_CERT_FILE), where a company adds its own, and the public ones."""
    import certifi

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


@asynccontextmanager
async def pinned_answer(
    client: "httpx.AsyncClient",
    method: str,
    address: WebAddress,
    ips: Sequence[str],
    *,
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
) -> AsyncGenerator["httpx.Response"]:
    """The answer of the first of the IP addresses that takes a connection, its body still to be read.

    Raises:
        httpx.RequestError: none does, or the connection broke.
    """
    import httpx

    original = httpx.URL(address.url)
    own = {"Host": original.netloc.decode(), "Accept-Encoding": "identity"}
    asked = {name: value for name, value in (headers or {}).items() if name.title() not in own}
    for position, ip in enumerate(ips, start=1):
        request = client.build_request(
            method,
            original.copy_with(host=ip),
            headers={**asked, **own},
            content=content,
            extensions={"sni_hostname": address.host},
        )
        try:
            response = await client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if position == len(ips):
                raise
            continue
        try:
            yield response
        finally:
            await response.aclose()
        return
