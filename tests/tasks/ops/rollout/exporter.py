"""A service's metrics, and a real Prometheus that scrapes them, both on loopback."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from tests.processes import free_port

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
    (folder / "prometheus.yml").write_text(
        f"global: {{scrape_interval: {SCRAPE}, scrape_timeout: {SCRAPE}}}\n"
        f"scrape_configs: [{{job_name: service, static_configs: [{{targets: ['127.0.0.1:{target_port}']}}]}}]\n"
    )
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    server = subprocess.Popen(
        [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _until_scraped(url, server)
        yield url
    finally:
        server.kill()
        server.wait()


def _until_scraped(url: str, server: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert server.poll() is None, "prometheus ended by itself"
        try:
            answer = httpx.get(f"{url}/api/v1/query", params={"query": "http_requests_total"})
            if answer.status_code == 200 and answer.json()["data"]["result"]:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)  # until it listens and has scraped once; nothing tells us
    raise TimeoutError("prometheus did not scrape the exporter")
