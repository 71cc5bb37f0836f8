"""The collector as an ASGI app."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI

from htga_client.wire import PREFIX
from htga_server import problems
from htga_server.access.middleware import RequestGuard
from htga_server.access.rate_limits import Failures
from htga_server.access.tokens import any_valid
from htga_server.alerts import webhook
from htga_server.alerts.monitor import RunMonitor
from htga_server.alerts.webhook_queue import WebhookQueue
from htga_server.api import (
    alerts,
    archive,
    groups,
    health,
    live,
    login,
    rows,
    rules,
    runs,
    series,
    status,
    tokens,
)
from htga_server.api.rows import RowIngestService
from htga_server.archive.archived_files import CheckedFiles
from htga_server.archive.archived_rows import Snapshots
from htga_server.archive.housekeeping import Housekeeping
from htga_server.archive.verification import Verification
from htga_server.http.access_log import AccessLog
from htga_server.http.metrics import Metrics
from htga_server.live.broker import Broker
from htga_server.live.pacing import SenderPacing
from htga_server.live.replicas import Replicas
from htga_server.live.viewers import ViewedRuns
from htga_server.migrate import migrate
from htga_server.problems import NotFound
from htga_server.settings import Settings
from htga_server.storage.database import Database


def create_app(settings: Settings | None = None, *, reader: bool = False) -> FastAPI:
    """Build a collector. Its database is migrated when the app starts.

    Args:
        settings: By default those of the environment.
        reader: Only answer requests, beside the collector that the database may have: claim no
            SQLite file, and leave housekeeping and alerts to that one.

    Raises:
        ValueError: The settings name a database that cannot be used.
    """
    settings = settings or Settings()
    database = Database(settings.url, max_waiting=settings.queued_requests)
    broker, viewed = Broker(), ViewedRuns()
    webhooks = WebhookQueue(partial(webhook.post, inside=settings.webhook_hosts))
    verification = Verification(settings.archive)
    monitor = RunMonitor(database, broker, webhooks)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if not reader:
            await asyncio.to_thread(database.claim)
        await asyncio.to_thread(database.check)
        await asyncio.to_thread(migrate, database)
        if settings.require_tokens and not await database.read(any_valid):
            raise ValueError("tokens are required and there is none; `htga token create` makes one")
        replicas = None
        if database.dialect == "postgresql" and not reader:
            replicas = Replicas(database.url, broker, viewed)
            await replicas.start()
        tasks = [
            asyncio.create_task(job.run())
            for job in (Housekeeping(database, settings, verification), monitor, webhooks)
            if not reader
        ]
        yield
        broker.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if replicas is not None:
            await replicas.stop()
        await asyncio.to_thread(database.close)

    # FastAPI's page of the API would load its scripts from another host.
    app = FastAPI(
        title="HTGA collector", version="1", lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.state.settings, app.state.database, app.state.broker = settings, database, broker
    metrics = Metrics(database, broker, verification)
    app.state.verification = verification
    app.state.viewed, app.state.metrics = viewed, metrics
    app.state.checked_files = CheckedFiles()
    app.state.snapshots = Snapshots(database, settings.archive, app.state.checked_files)
    app.state.queries = asyncio.Semaphore(settings.queries_at_once)
    app.state.row_ingest = RowIngestService(
        database, broker, viewed, SenderPacing(), monitor, metrics, settings
    )
    app.state.failures = Failures(time.monotonic)
    app.add_middleware(
        RequestGuard, settings=settings, database=database, failures=app.state.failures
    )
    app.add_middleware(AccessLog, metrics=metrics)
    problems.install(app)
    # Routes are registered flat, rows first: matching is twice as fast as through nested routers,
    # and most requests carry rows.
    for module in (rows, runs, series, groups, live, alerts, archive, rules, status, tokens):
        app.include_router(module.router, prefix=PREFIX, responses=problems.RESPONSES)
    app.include_router(health.router, responses=problems.RESPONSES)
    app.include_router(login.router)

    @app.api_route("/api/{rest:path}", methods=["GET", "HEAD"], include_in_schema=False)
    async def no_such_route(rest: str) -> None:
        # A dashboard on the same port answers every other unknown path with its own page.
        raise NotFound(f"no route /api/{rest[:80]}")

    return app
