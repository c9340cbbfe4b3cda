"""A service's metrics, and a real Prometheus that scrapes them, both on loopback."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.fakes.monitoring import running_prometheus
from tests.processes import HTTP, until

SCRAPE = "100ms"


class Exporter:
    """Counters of baseline and canary, as the test sets them."""

    def __init__(self) -> None:
        self.counts = {(track, code): 0.0 for track in ("baseline", "canary") for code in ("200", "500")}
        self.lock = threading.Lock()

    def add(self, track: str, code: str, count: float) -> None:
        """So many more requests."""
        with self.lock:
            self.counts[track, code] += count

    def restart(self, track: str) -> None:
        """Its counters begin anew."""
        with self.lock:
            for code in ("200", "500"):
                self.counts[track, code] = 0.0

    def text(self) -> str:
        """What Prometheus scrapes."""
        with self.lock:
            lines = [
                f'http_requests_total{{track="{track}",code="{code}"}} {count}'
                for (track, code), count in self.counts.items()
            ]
        return "# TYPE http_requests_total counter\n" + "\n".join(lines) + "\n"


@contextmanager
def exporting(exporter: Exporter) -> Iterator[int]:
    """Serve it; gives the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = exporter.text().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def prometheus(folder: Path, target_port: int) -> Iterator[str]:
    """A Prometheus that scrapes the port; gives its address."""
    folder.mkdir(parents=True, exist_ok=True)
    scrape = {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE}
    targets = [{"targets": [f"127.0.0.1:{target_port}"]}]
    config = {"global": scrape, "scrape_configs": [{"job_name": "service", "static_configs": targets}]}
    with running_prometheus(folder, config) as url:
        until(lambda: _has_scraped(url))
        yield url


def _has_scraped(url: str) -> bool:
    answer = HTTP.get(f"{url}/api/v1/query", params={"query": "http_requests_total"})
    return answer.is_success and bool(answer.json()["data"]["result"])
