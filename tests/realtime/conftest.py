"""A node of the sidecar in this very loop, a real Valkey, a backend at the wire, and clients."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio
import uvloop
from aiohttp import web
from redis.asyncio import Redis

from realtime.app import NODE, Node, build_app
from realtime.environment import Environment, Timing
from tests.realtime.clients import KEY, KID, Client, RawClient, until
from tests.realtime.standin import CREDENTIAL, StandIn
from tests.realtime.valkey import Valkey

QUICK = Timing(
    heads=0.3,
    heads_jitter=0.01,
    canary=0.1,
    deaf=1,
    sweep=0.05,
    duty=0.1,
    connect=1,
    send=1,
    linger=0.2,
    drain=1,
    retry=0.02,
    retry_limit=0.2,
)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of production."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def shared_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """One that the test may stop and start."""
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@dataclass
class World:
    """Everything that a test of the sidecar touches."""

    backend: StandIn
    redis: Redis
    http: aiohttp.ClientSession
    environment: Environment
    stack: AsyncExitStack

    async def node(self, timing: Timing = QUICK, **settings: object) -> "RunningNode":
        """Start a node, and wait until it hears Redis."""
        app = build_app(self.environment.model_copy(update=settings), timing)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        self.stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        node = app[NODE]
        await until(lambda: node.subscriber.connected and node.subscriber.canary_age < 1)
        return RunningNode(self, node, runner, f"http://127.0.0.1:{runner.addresses[0][1]}")


@dataclass
class RunningNode:
    world: World
    node: Node
    runner: web.AppRunner
    url: str

    def client(self) -> Client:
        client = Client(self.url)
        self.world.stack.push_async_callback(client.socket.disconnect)
        return client

    async def raw(self) -> RawClient:
        """A bare connection; the opening packet is read."""
        url = f"{self.url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket"
        client = RawClient(await self.world.http.ws_connect(url, max_msg_size=0, autoping=True))
        self.world.stack.push_async_callback(client.socket.close)
        await client.read()
        return client

    async def hearing(self, *rooms: str) -> None:
        """Wait until Redis knows that this node listens to the rooms."""
        for room in rooms:
            await until(lambda room=room: self.node.subscriber.is_confirmed(room))  # type: ignore[misc]


async def make_world(valkey: Valkey) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        redis = Redis.from_url(valkey.url, protocol=2)
        stack.push_async_callback(redis.aclose)
        await redis.flushall()
        backend = StandIn(redis)
        runner = web.AppRunner(backend.app(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        http = await stack.enter_async_context(aiohttp.ClientSession())
        environment = Environment(
            _env_file=None,
            environment="test",
            redis_url=valkey.url,
            token_keys={KID: KEY},
            realtime_credential=CREDENTIAL,
            internal_url=f"http://127.0.0.1:{runner.addresses[0][1]}",
            trusted_proxies=(),
            cors_allowed_origins=(),
            clock_movable=False,
        )
        yield World(backend, redis, http, environment, stack)


@pytest_asyncio.fixture
async def world(shared_valkey: Valkey) -> AsyncIterator[World]:
    async for made in make_world(shared_valkey):
        yield made


@pytest_asyncio.fixture
async def own_world(own_valkey: Valkey) -> AsyncIterator[World]:
    """One whose Valkey the test may stop and start."""
    async for made in make_world(own_valkey):
        yield made


@pytest_asyncio.fixture
async def node(world: World) -> RunningNode:
    return await world.node()


@pytest.fixture
def backend(world: World) -> StandIn:
    return world.backend
