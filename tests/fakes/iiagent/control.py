"""What a test asks of a server in a process of its own, and tells it: below /fake, where the real one has nothing."""

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from tests.fakes.iiagent.server import FakeServer


class Control:
    """Handlers of one server."""

    def __init__(self, server: "FakeServer") -> None:
        self.server = server

    def routes(self) -> list[web.RouteDef]:
        """What to serve."""
        return [
            web.get("/fake", self.seen),
            web.post("/fake/open/{gate}", self.open),
            web.get("/fake/reached/{gate}", self.reached),
            web.post("/fake/cut_after/{frames}", self.cut_after),
        ]

    async def seen(self, _request: web.Request) -> web.Response:
        """Peaks, and all runs."""
        fake = self.server
        runs = [
            {"session": run.session.id, "number": run.number, "text": run.text, "outcome": run.outcome}
            for run in fake.runs
        ]
        peaks = {"sockets": fake.peak_sockets, "agents": fake.peak_agents, "working": fake.peak_working}
        return web.json_response({"peaks": peaks, "runs": runs, "uploads": len(fake.uploads)})

    async def open(self, request: web.Request) -> web.Response:
        """Open a gate."""
        self.server.open(request.match_info["gate"])
        return web.json_response({})

    async def reached(self, request: web.Request) -> web.Response:
        """Answer when somebody stands at a gate."""
        await self.server.reached(request.match_info["gate"])
        return web.json_response({})

    async def cut_after(self, request: web.Request) -> web.Response:
        """Break the connection at so many frames from now on."""
        self.server.cut_after(int(request.match_info["frames"]), request.query.get("side", "sent"))
        return web.json_response({})
