"""The gateway's application: its routes, what they depend on, and how errors are answered."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from importlib.metadata import version

from litestar import Litestar, Request, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from prefect.client.orchestration import PrefectClient

from blocks.keys import ApiKey, KeyRing
from blocks.logs import configure_logs
from blocks.settings import settings
from blocks.store import open_store
from blocks.store.files import Files
from deployments.gateway.desk import Desk
from deployments.gateway.intake.admission import Admission
from deployments.gateway.intake.quotas import Quotas
from deployments.gateway.llm import LivePool, NoAccounts
from deployments.gateway.load import Load
from deployments.gateway.metrics.served import ServedMetrics, Service, parts_of
from deployments.gateway.prefect_api import open_prefect
from deployments.gateway.routes.health import Probes
from deployments.gateway.routes.page import HEADERS
from deployments.gateway.watch import Watcher
from deployments.gateway.web.auth import OPEN, LiveKeys, Slowdown, authorise, check_routes
from deployments.gateway.web.openapi import ReferenceDocument, ReferencePage, describe, operation_id
from deployments.gateway.web.problems import HANDLERS

ROUTES = (
    "process",
    "cancel",
    "status",
    "results",
    "events",
    "models",
    "templates",
    "openai",
    "chat",
    "approvals",
    "reviews",
    "stops",
    "incidents",
    "health",
    "metrics",
    "page",
    "quality",
)
"""Modules of `routes`; each has the list `handlers`."""


def create_app() -> Litestar:
    """The application, for an ASGI server; `PREFECT_API_URL` says where its Prefect server is."""
    configure_logs()
    handlers = [handler for name in ROUTES for handler in import_module(f"deployments.gateway.routes.{name}").handlers]
    app = Litestar(
        handlers,
        lifespan=[connections],
        guards=[authorise],
        dependencies={
            "prefect": Provide(provide_prefect, sync_to_thread=False),
            "files": Provide(provide_files, sync_to_thread=False),
            "key": Provide(provide_key, sync_to_thread=False),
            "quotas": Provide(provide_quotas, sync_to_thread=False),
            "admission": Provide(provide_admission, sync_to_thread=False),
            "watcher": Provide(provide_watcher, sync_to_thread=False),
            "load": Provide(provide_load, sync_to_thread=False),
            "probes": Provide(provide_probes, sync_to_thread=False),
            "live_pool": Provide(provide_live_pool, sync_to_thread=False),
            "metrics": Provide(provide_metrics, sync_to_thread=False),
            "desk": Provide(provide_desk, sync_to_thread=False),
        },
        exception_handlers=HANDLERS,
        # Litestar's own would print every request to Prefect; see `configure_logs` for ours.
        logging_config=None,
        openapi_config=OpenAPIConfig(
            title="C500",
            version=version("c500"),
            operation_id_creator=operation_id,
            render_plugins=[ReferencePage(), ReferenceDocument()],
            openapi_router=Router(
                "/docs", route_handlers=[], opt=OPEN, include_in_schema=False, response_headers=HEADERS
            ),
            security=[{"key": []}, {"bearer": []}],
            components=Components(
                security_schemes={
                    "key": SecurityScheme(type="apiKey", name="X-API-Key", security_scheme_in="header"),
                    "bearer": SecurityScheme(type="http", scheme="bearer"),
                }
            ),
        ),
        # Uploads have their own limit, kept while they stream in; see `uploads`.
        request_max_body_size=None,
    )
    check_routes(app)
    describe(app)
    return app


@asynccontextmanager
async def connections(app: Litestar) -> AsyncGenerator[None]:
    """Connect with Prefect and the store for as long as the application runs."""
    app.state.files = open_store()
    app.state.live_keys = LiveKeys(KeyRing(app.state.files, settings().secret_api_key))
    app.state.quotas = Quotas(app.state.files)
    app.state.slowdown = Slowdown()
    app.state.live_pool = LivePool(settings().accounts_file.expanduser())
    app.state.desk = Desk(app.state.files)
    async with open_prefect() as client:
        app.state.prefect = client
        app.state.watcher = Watcher(client)
        app.state.admission = Admission(client)
        app.state.load = Load(client)
        service = Service(app.state.files, client, app.state.load, app.state.live_pool, app.state.desk)
        app.state.metrics = ServedMetrics(parts_of(service))
        app.state.probes = Probes(app.state.files, app.state.load, app.state.live_pool)
        # Now, not at the first call: a file that becomes wrong finds the pool open, which then stays as it was.
        with suppress(NoAccounts):
            await app.state.live_pool.pool()
        yield
        await app.state.metrics.close()
        await app.state.watcher.close()
        await app.state.live_pool.close()


def provide_prefect(state: State) -> PrefectClient:
    """The connection with the Prefect server."""
    return state.prefect


def provide_files(state: State) -> Files:
    """The store."""
    return state.files


def provide_key(request: Request[None, ApiKey, State]) -> ApiKey:
    """The key that the request came with, checked by `authorise`."""
    return request.auth


def provide_quotas(state: State) -> Quotas:
    """The quotas of the keys."""
    return state.quotas


def provide_admission(state: State) -> Admission:
    """The gateway's places in the queue."""
    return state.admission


def provide_watcher(state: State) -> Watcher:
    """Who waits for runs to change, waits here."""
    return state.watcher


def provide_load(state: State) -> Load:
    """How busy the service is."""
    return state.load


def provide_probes(state: State) -> Probes:
    """How the service is."""
    return state.probes


def provide_live_pool(state: State) -> LivePool:
    """The LLM accounts."""
    return state.live_pool


def provide_metrics(state: State) -> ServedMetrics:
    """What Prometheus is told."""
    return state.metrics


def provide_desk(state: State) -> Desk:
    """Where people answer agents."""
    return state.desk
