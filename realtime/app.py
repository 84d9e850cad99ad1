"""The assembly: one node, from its settings to its routes, and its life from start to drain."""

import asyncio
import ipaddress
import uuid
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import structlog
from aiohttp import web
from redis.asyncio import Redis
from redis.exceptions import RedisError

from realtime.access import Access
from realtime.backend import Backend, BackendAway
from realtime.clients import Clients
from realtime.docs import build_asyncapi, render_page
from realtime.ending import end
from realtime.environment import Environment, Timing
from realtime.handlers import Gateway
from realtime.hub import Hub
from realtime.limits import Proxies
from realtime.locations import Locations
from realtime.metrics import Metrics
from realtime.server import SocketServer
from realtime.subscriber import Subscriber, connection_options
from realtime.talking import Talking
from realtime.tokens import TokenVerifier
from shared_contracts.errors import ErrorCode

log = structlog.get_logger(__name__)

READY_SECONDS = 2
PUBLISHERS = 16
SAFE_PAGE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Node:
    """Everything that one sidecar process holds."""

    def __init__(self, environment: Environment, timing: Timing | None = None) -> None:
        timing = timing or Timing()
        self._timing = timing
        self.metrics = Metrics()
        self.clients = Clients()
        self.redis = Redis.from_url(
            environment.redis_url, max_connections=PUBLISHERS, **connection_options(environment.redis_url)
        )
        self.backend = Backend(
            environment.backend_url, environment.realtime_credential, join_batch_seconds=timing.join_batch
        )
        self.hub = Hub(self.backend, timing, self.metrics)
        self.access = Access(self.backend, self.hub, self.clients, timing)
        self.locations = Locations(self.redis, self.backend, self.hub, self.clients, timing, self.metrics)
        self.talking = Talking(uuid.uuid4().hex, self.redis, self.backend, self.hub, self.clients, timing)
        self.subscriber = Subscriber(
            environment.redis_url,
            self.redis,
            on_event=self.hub.hear,
            on_behind=self.hub.check_partitions,
            on_restored=self.hub.check_all_soon,
            on_late=lambda room: self.hub.check_soon([room], 0),
            timing=timing,
            metrics=self.metrics,
        )
        self.hub.subscriber = self.subscriber
        self.hub.obey = self.access.obey
        self.gateway = Gateway(
            verifier=TokenVerifier(environment.verifying_keys()),
            backend=self.backend,
            hub=self.hub,
            clients=self.clients,
            access=self.access,
            locations=self.locations,
            talking=self.talking,
            timing=timing,
            metrics=self.metrics,
            clock_movable=environment.clock_movable,
        )
        proxies = Proxies(environment.trusted_proxies)
        self.sockets = SocketServer(
            self.gateway,
            origins=environment.cors_allowed_origins,
            timing=timing,
            address=lambda request: proxies.client_address(
                request.remote, request.headers.getall("X-Forwarded-For", [])
            ),
            shutting=self._count_closing,
        )

    async def run(self, _app: web.Application) -> AsyncIterator[None]:
        """The node's life, as an aiohttp clean-up context."""
        async with self.backend:
            tasks = [
                self._start(self.subscriber.run()),
                self._start(self.hub.keep_checking()),
                self._start(self.access.keep_sweeping()),
                self._start(self.locations.keep_fresh()),
                self._start(self.talking.keep_telling()),
            ]
            yield
            await end(tasks)
            await self.access.close()
            await self.hub.close()
            await self.sockets.shutdown()
            await self.redis.aclose()

    async def drain(self, _app: web.Application | None = None) -> None:
        """Send everyone away; the last thing before the server stops listening."""
        log.info("node.draining", sockets=len(self.clients))
        await self.gateway.drain()

    async def readiness(self) -> dict[str, str]:
        """What the node depends on: `ok`, or what is wrong. Redis is reported, and decides nothing (DESIGN.md 3.4)."""
        return {
            "node": "draining" if self.gateway.draining else "ok",
            "listener": "deaf" if self.subscriber.deaf else "ok",
            "backend": await self._judge(self.backend.heads([])),
            "redis": await self._judge(self.redis.execute_command("PING")),
        }

    async def _judge(self, question: Coroutine[Any, Any, Any]) -> str:
        try:
            async with asyncio.timeout(READY_SECONDS):
                await question
        except (BackendAway, RedisError, OSError, TimeoutError):
            return "away"
        return "ok"

    def _count_closing(self, code: ErrorCode) -> None:
        self.metrics.closed.labels(code).inc()
        log.info("socket.closing", code=code)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.create_task(work)


def build_app(environment: Environment, timing: Timing | None = None) -> web.Application:
    """The aiohttp application of one node."""
    node = Node(environment, timing)
    app = web.Application(client_max_size=1024)
    app[NODE] = node
    app.cleanup_ctx.append(node.run)
    app.on_shutdown.append(node.drain)
    node.sockets.attach(app)
    page = render_page(build_asyncapi())

    async def docs(_request: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html", charset="utf-8", headers=SAFE_PAGE)

    async def asyncapi(_request: web.Request) -> web.Response:
        return web.json_response(build_asyncapi(), headers={"X-Content-Type-Options": "nosniff"})

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_request: web.Request) -> web.Response:
        checks = await node.readiness()
        ready = all(state == "ok" for name, state in checks.items() if name != "redis")
        return web.json_response({"status": "ok" if ready else "unready", **checks}, status=200 if ready else 503)

    async def metrics(request: web.Request) -> web.Response:
        if not _is_local(request):
            raise web.HTTPNotFound
        node.metrics.canary_age.set(node.subscriber.canary_age)
        return web.Response(body=node.metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4"})

    app.router.add_get("/docs", docs)
    app.router.add_get("/asyncapi.json", asyncapi)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
    return app


NODE = web.AppKey("node", Node)


def _is_local(request: web.Request) -> bool:
    """From this very machine, and not through a proxy on it."""
    if "X-Forwarded-For" in request.headers or request.remote is None:
        return False
    return ipaddress.ip_address(request.remote).is_loopback
