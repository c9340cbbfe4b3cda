"""The REST half: sessions, their events, uploads, files of workspaces, settings."""

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.fakes.iiagent.sessions import Session

if TYPE_CHECKING:
    from tests.fakes.iiagent.server import FakeServer

LARGEST_BODY_BYTES = 128 * 2**20

PATHS = {
    "ws": (
        "/api/upload",
        "/api/sessions/{device_id}",
        "/api/sessions/{session_id}/events",
        "/api/settings",
    ),
    "old": ("/api/upload", "/api/sessions/{device_id}", "/api/sessions/{session_id}/events"),
    "socketio": ("/auth/login", "/chat/generate-upload-url", "/chat/upload-complete", "/sessions/{id}/files"),
}
"""Paths that the generations of the server tell in their OpenAPI document."""


class Rest:
    """Handlers of one server."""

    def __init__(self, server: "FakeServer") -> None:
        self.server = server
        self.settings: dict[str, Any] | None = None

    def routes(self) -> list[web.RouteDef]:
        """What to serve."""
        return [
            web.get("/openapi.json", self.openapi),
            web.post("/api/upload", self.upload),
            web.get("/api/sessions/{device_id}", self.sessions),
            web.get("/api/sessions/{session_id}/events", self.events),
            web.get("/api/settings", self.get_settings),
            web.post("/api/settings", self.post_settings),
            web.get("/workspace/{path:.*}", self.workspace_file),
        ]

    async def openapi(self, _request: web.Request) -> web.Response:
        """Which generation this is."""
        paths = {path: {} for path in PATHS[self.server.knobs.flavor]}
        return web.json_response({"openapi": "3.1.0", "info": {"title": "FastAPI", "version": "0.1.0"}, "paths": paths})

    async def sessions(self, request: web.Request) -> web.Response:
        """Sessions of a device, newest first."""
        found = self.server.sessions.of_device(request.match_info["device_id"])
        return web.json_response({"sessions": [session.row for session in found]})

    async def events(self, request: web.Request) -> web.Response:
        """All stored events of a session."""
        session_id = request.match_info["session_id"]
        session = self.server.sessions.find(session_id)
        shown = list(session.events) if session else []
        self.server.breaks.polled(session_id)
        return web.json_response({"events": shown})

    async def get_settings(self, _request: web.Request) -> web.Response:
        """Settings, with the keys blanked."""
        if self.settings is None:
            return _error(404, "Settings not found")
        models = self.settings.get("llm_configs", {})
        return web.json_response(self.settings | {"llm_configs": {name: _blank(models[name]) for name in models}})

    async def post_settings(self, request: web.Request) -> web.Response:
        """Replace the settings; a missing key is taken from the model of that name."""
        sent = await request.json()
        before = (self.settings or {}).get("llm_configs", {})
        for name, model in sent.get("llm_configs", {}).items():
            if not model.get("api_key") and name in before:
                model["api_key"] = before[name].get("api_key")
        self.settings = sent
        return web.json_response({"message": "Settings stored"})

    async def upload(self, request: web.Request) -> web.Response:
        """Put a file into a workspace, under a name that is free there."""
        try:
            sent = await request.json()
        except (json.JSONDecodeError, UnicodeDecodeError):
            return _error(500, "Error uploading file: not JSON")
        named: dict[str, str] = sent.get("file") or {}
        if not sent.get("session_id") or not named.get("path"):
            return _error(400, "session_id and file.path are required")
        session = self.server.sessions.find(sent["session_id"])
        if session is None:
            return _error(404, f"Workspace not found for session: {sent['session_id']}")
        try:
            data = _decoded(named.get("content", ""))
        except ValueError:
            return _error(500, "Error uploading file: bad data URL")
        self.server.uploads.append((session.id, named["path"], data))
        saved = self._save(session, named["path"], data)
        if saved is None:
            return _error(400, "the real server would have written outside of the workspace")
        if self.server.breaks.loses_reply():
            _cut(request)
        shown = {"path": f"/uploaded_files/{saved.name}", "saved_path": str(saved)}
        return web.json_response({"message": "File uploaded successfully", "file": shown})

    def _save(self, session: Session, name: str, data: bytes) -> Path | None:
        folder = session.workspace / "uploaded_files"
        if not _inside(folder / name, folder):  # the real one writes it; here nothing leaves the folder
            return None
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.server.knobs.name_taken and not target.exists():
            target.write_bytes(b"of somebody else")
        number = 0
        while target.exists():
            number += 1
            target = folder / f"{Path(name).stem}_{number}{Path(name).suffix}"
        target.write_bytes(data)
        return target

    async def workspace_file(self, request: web.Request) -> web.StreamResponse:
        """A file of any workspace: ranges, ETag, nothing outside, no lists of folders."""
        asked = request.match_info["path"]
        root = self.server.sessions.workspaces
        self.server.downloads.append(asked)
        served = self.server.knobs.serves_anything
        # Not of such an ending: it is what a client asks for to see whether the server makes its files up.
        if served is not None and not asked.endswith(".none") and not (root / asked).is_file():
            return web.Response(body=served)
        path = _found(root, asked)
        if path is None:
            return _error(404, "Not Found")
        after = self.server.breaks.download_cut() if request.method == "GET" else None
        if after is None:
            return web.FileResponse(path)
        return await _cut_short(request, path, after)


def _found(root: Path, asked: str) -> Path | None:
    if "\0" in asked or ".." in Path(asked).parts:
        return None
    try:
        path = (root / asked).resolve()
        path = path / "index.html" if path.is_dir() else path
        return path if path.is_file() and _inside(path, root) else None
    except OSError:  # a name too long for the file system
        return None


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


async def _cut_short(request: web.Request, path: Path, after: int) -> web.StreamResponse:
    whole = path.read_bytes()
    response = web.StreamResponse(headers={"Content-Length": str(len(whole))})
    await response.prepare(request)
    await response.write(whole[:after])
    _cut(request)
    return response


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.close()


def _decoded(content: str) -> bytes:
    """What an upload holds: a data URL, or plain text; wrong characters of base64 are left out without a word."""
    if not content.startswith("data:"):
        return content.encode()
    _, comma, encoded = content.partition(",")
    if not comma:
        raise ValueError(content[:20])
    return base64.b64decode(encoded)


def _blank(model: dict[str, Any]) -> dict[str, Any]:
    return model | {"api_key": None}


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
