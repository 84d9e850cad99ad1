"""A hostile or helpless client is cut off and costs the others nothing (RELIABILITY.md R7, R8).

Seen red with these bugs planted: a queue without a bound, no limit of packets, binary packets read as any other.
"""

import asyncio
import json
from dataclasses import replace

import pytest

from realtime import clients as clients_module
from shared_contracts.errors import ErrorCode
from tests.realtime.clients import make_token, until
from tests.realtime.conftest import QUICK, RunningNode, World
from tests.realtime.standin import StandIn

pytestmark = pytest.mark.asyncio

MALFORMED = '42["closing",{"code":"malformed"}]'


class TestHostileClients:
    @pytest.mark.parametrize(
        "text",
        [
            '451-["join",{"_placeholder":true,"num":0}]',
            "45999999999-[]",
            '461-1[{"_placeholder":true,"num":0}]',
            "42",
            "42{}",
            "42[]",
            "42[1]",
            '42["ping"',
            '42["ping",NaN]',
            '42["ping","\\ud800"]',
            "42" + "[" * 30_000,
            "4",
            "49",
            "6x",
            "b4AAAA",
            "",
        ],
    )
    async def test_are_closed_for_what_is_no_packet(self, node: RunningNode, text: str) -> None:
        raw = await (await node.raw()).let_in()
        await raw.socket.send_str(text)
        assert MALFORMED in await asyncio.wait_for(raw.read_to_end(), 2)
        await until(lambda: not node.node.sockets.eio.sockets)

    async def test_are_closed_for_binary_frames(self, node: RunningNode) -> None:
        raw = await (await node.raw()).let_in()
        await raw.socket.send_bytes(b"x")
        assert MALFORMED in await asyncio.wait_for(raw.read_to_end(), 2)

    async def test_are_closed_for_frames_that_are_too_large(self, node: RunningNode) -> None:
        raw = await (await node.raw()).let_in()
        await raw.socket.send_str('42["ping","' + "x" * 64 * 1024 + '"]')
        await asyncio.wait_for(raw.read_to_end(), 2)
        await until(lambda: not node.node.sockets.eio.sockets)

    @pytest.mark.parametrize("text", ['42["ping"]', "3", '42["nonsense",{}]'])
    async def test_are_closed_for_a_flood(self, node: RunningNode, backend: StandIn, text: str) -> None:
        victim = await node.client().connect(2)
        raw = await (await node.raw()).let_in()
        for _ in range(60):
            await raw.socket.send_str(text)
        texts = await asyncio.wait_for(raw.read_to_end(), 2)
        assert '42["closing",{"code":"rate_limited"}]' in texts
        assert (await victim.call("ping"))["ok"]
        assert len(node.node.clients) == 1

    async def test_may_send_a_burst(self, node: RunningNode) -> None:
        raw = await (await node.raw()).let_in()
        for n in range(35):
            await raw.socket.send_str(f'42{n}["ping"]')
        for n in range(35):
            assert await raw.read() == f'43{n}[{{"ok":true}}]'

    async def test_post_no_flood_either(self, node: RunningNode) -> None:
        url = f"{node.url}/socket.io/?EIO=4&transport=polling"
        async with node.world.http.get(url) as response:
            sid = json.loads((await response.text())[1:])["sid"]
        statuses = []
        for body in ["3\x1e" * 15 + "3"] * 5 + ["b4AAAA"]:
            async with node.world.http.post(f"{url}&sid={sid}", data=body) as response:
                statuses.append(response.status)
        assert statuses[-1] == 400
        assert set(statuses) <= {200, 400}
        assert not node.node.sockets.eio.sockets

    async def test_that_do_not_read_are_dropped(self, world: World, backend: StandIn) -> None:
        node = await world.node(replace(QUICK, send=30))
        reader = await node.client().connect(2)
        raw = await (await node.raw()).let_in(1)
        for user_id, room in ((1, "conversation:7"), (2, "conversation:7")):
            backend.allow(user_id, room)
        await raw.socket.send_str('421["join",{"room":"conversation:7"}]')
        await raw.read()
        assert (await reader.call("join", room="conversation:7"))["ok"]
        await node.hearing("conversation:7")
        slow = next(client for client in node.node.clients if client.user_id == 1).connection
        raw.socket._reader._protocol.pause_reading()
        sent, most = 0, 0
        while not slow.closed and sent < 400:
            sent += 1
            await backend.emit("conversation:7", padding="x" * 50_000)
            await until(lambda sent=sent: len(reader.numbers("conversation:7")) == sent)  # type: ignore[misc]
            most = max(most, slow.queue.bytes_waiting)
        assert slow.closed
        assert 500_000 < most <= 1024 * 1024
        assert reader.numbers("conversation:7") == list(range(1, sent + 1))
        assert node.node.metrics.closed.labels(ErrorCode.SLOW_CONSUMER)._value.get() == 1
        await until(lambda: len(node.node.sockets.eio.sockets) == 1 and len(node.node.clients) == 1)
        transport = slow.websocket.transport if slow.websocket is not None else None
        assert transport is not None
        await until(transport.is_closing)
        raw.socket._reader._protocol.resume_reading()

    async def test_of_one_address_are_counted(self, node: RunningNode, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(clients_module, "SOCKETS_PER_ADDRESS", 2)
        monkeypatch.setattr(clients_module, "CONNECTIONS_PER_ADDRESS", 3)
        for user_id in (1, 2):
            await (await node.raw()).let_in(user_id)
        refusal = await node.client().refused({"token": "x"})
        assert refusal["data"]["code"] == ErrorCode.INVALID_TOKEN
        third = node.client()
        assert (await third.refused({"token": make_token(3)}))["data"]["code"] == ErrorCode.TOO_MANY_SOCKETS
        await until(lambda: len(node.node.sockets.eio.sockets) == 2)
        await node.raw()
        async with node.world.http.get(f"{node.url}/socket.io/?EIO=4&transport=polling") as response:
            assert response.status == 401
