"""Losing and gaining access while connected."""

import asyncio
import time
from dataclasses import replace

import pytest

from shared_contracts.errors import ErrorCode
from tests.realtime.clients import make_token, until
from tests.realtime.conftest import QUICK, RunningNode, World
from tests.realtime.standin import StandIn
from tests.realtime.valkey import Valkey

pytestmark = pytest.mark.asyncio

ROOM = "conversation:7"
PATIENT = replace(QUICK, heads=60)


class TestMemberRemoved:
    async def test_is_the_last_event_that_the_person_gets(self, node: RunningNode, backend: StandIn) -> None:
        clients = [await node.client().connect(user_id) for user_id in (1, 2)]
        for user_id, client in enumerate(clients, 1):
            backend.allow(user_id, ROOM)
            await client.call("join", room=ROOM)
        await node.hearing(ROOM)
        await backend.emit(ROOM, "member.removed", user={"id": 1, "name": "A"})
        await backend.emit(ROOM)
        await clients[1].wait_for("message.created")
        await backend.emit("user:1")
        await clients[0].wait_for("message.created")
        assert clients[0].numbers(ROOM) == [1]
        assert clients[1].numbers(ROOM) == [1, 2]
        assert (await clients[0].call("leave", room=ROOM))["code"] == ErrorCode.NOT_JOINED

    async def test_counts_while_one_is_joining(self, node: RunningNode, backend: StandIn) -> None:
        """Allowed a moment ago, removed since: the event that came meanwhile is obeyed too."""
        backend.allow(1, ROOM)
        client = await node.client().connect(1)
        backend.joins_held, made = asyncio.Event(), backend.joins_made
        joining = asyncio.create_task(client.call("join", room=ROOM, cursor="e1.0"))
        await until(lambda: backend.joins_made > made)
        await node.hearing(ROOM)
        await backend.emit(ROOM, "member.removed", user={"id": 1, "name": "A"})
        backend.joins_held.set()
        assert (await joining)["ok"]
        await client.wait_for("member.removed")
        await until(lambda: node.node.hub.get(ROOM) is None)

    async def test_in_the_past_does_not_put_out_who_is_back(self, world: World, backend: StandIn) -> None:
        """A room that has still to fill does not apply an old removal to who was let in after it."""
        node = await world.node(PATIENT)
        first = await node.client().connect(2)
        backend.allow(2, ROOM)
        await first.call("join", room=ROOM)
        backend.commit(ROOM, "member.removed", user={"id": 1, "name": "A"})
        backend.commit(ROOM, "member.added", user={"id": 1, "name": "A"})
        backend.allow(1, ROOM)
        back = await node.client().connect(1)
        assert (await back.call("join", room=ROOM))["cursor"] == "e1.2"
        await until(lambda: first.numbers(ROOM) == [1, 2])
        await node.hearing(ROOM)
        await backend.emit(ROOM)
        await until(lambda: back.numbers(ROOM) == [3])


class TestSessionEnded:
    async def test_closes_the_sessions_sockets(self, node: RunningNode, backend: StandIn) -> None:
        ended = [await node.client().connect(1) for _ in range(2)]
        other = await node.client().connect(auth={"token": make_token(1, sid=11)})
        await node.hearing("user:1")
        began = time.monotonic()
        await backend.emit("user:1", "session.ended", session_id=10, reason="signed out")
        for client in ended:
            await asyncio.wait_for(client.closed.wait(), 1)
            assert [name for name, _ in client.events] == ["ready", "session.ended", "closing"]
            assert client.named("closing") == [{"code": ErrorCode.SESSION_ENDED}]
        assert time.monotonic() - began < 1
        await other.wait_for("session.ended")
        assert (await other.call("ping"))["ok"]
        assert len(node.node.clients) == 1

    async def test_of_the_person_closes_all(self, node: RunningNode, backend: StandIn) -> None:
        clients = [
            await node.client().connect(auth={"token": make_token(1, sid=sid)}, transport=transport)
            for sid, transport in ((10, "websocket"), (11, "polling"))
        ]
        await node.hearing("user:1")
        await backend.emit("user:1", "session.ended", session_id=None, reason="password changed")
        for client in clients:
            await asyncio.wait_for(client.closed.wait(), 1)
        await until(lambda: len(node.node.clients) == 0)

    async def test_closes_a_client_that_does_not_hang_up(self, node: RunningNode, backend: StandIn) -> None:
        raw = await (await node.raw()).let_in(1)
        await node.hearing("user:1")
        await backend.emit("user:1", "session.ended", session_id=10, reason="x")
        texts = await asyncio.wait_for(raw.read_to_end(), 1)
        assert texts[-3:] == ['42["closing",{"code":"session_ended"}]', "41", "1"]
        await raw.socket.close()

    async def test_is_noticed_without_redis(self, own_world: World, own_valkey: Valkey) -> None:
        node = await own_world.node()
        client = await node.client().connect(1)
        own_valkey.stop()
        own_world.backend.commit("user:1", "session.ended", session_id=10, reason="x")
        await asyncio.wait_for(client.closed.wait(), 5)

    async def test_is_noticed_at_the_next_join(self, node: RunningNode, backend: StandIn) -> None:
        client = await node.client().connect(1)
        backend.ended.add(10)
        assert (await client.call("join", room=ROOM))["code"] == ErrorCode.SESSION_ENDED
        await asyncio.wait_for(client.closed.wait(), 1)


class TestAccessChanged:
    async def test_puts_out_of_what_is_not_allowed_any_more(self, node: RunningNode, backend: StandIn) -> None:
        backend.allow(1, "console", ROOM)
        client = await node.client().connect(1)
        assert (await client.call("join", room="console"))["ok"]
        assert (await client.call("join", room=ROOM))["ok"]
        await node.hearing("console", ROOM, "user:1")
        backend.forbid(1, "console")
        await backend.emit("user:1", "access.changed")
        await until(lambda: node.node.hub.get("console") is None)
        await backend.emit(ROOM)
        await client.wait_for("message.created")
        assert client.numbers(ROOM) == [1]

    async def test_joins_what_is_allowed_now(self, node: RunningNode, backend: StandIn) -> None:
        client = await node.client().connect(1)
        await node.hearing("user:1")
        backend.allow(1, "assistant:1")
        backend.contexts["assistant:1"] = {"on_duty": True}
        await backend.emit("user:1", "access.changed")
        ready = await client.wait_for("ready", 2)
        assert set(ready["rooms"]) == {"assistant:1"}
        await node.hearing("assistant:1")
        await backend.emit("assistant:1", "assistance.offered")
        await client.wait_for("assistance.offered")

    async def test_closes_who_cannot_be_asked_for(self, node: RunningNode, backend: StandIn) -> None:
        client = await node.client().connect(1)
        await node.hearing("user:1")
        backend.away = True
        await backend.publish(backend.commit("user:1", "access.changed"))
        await asyncio.wait_for(client.closed.wait(), 5)
        closing = client.named("closing")[0]
        assert closing["code"] == ErrorCode.UNAVAILABLE
        assert closing["reconnect_in_ms"] >= 0


class TestTokens:
    async def test_a_socket_ends_with_its_token(self, node: RunningNode) -> None:
        client = await node.client().connect(auth={"token": make_token(1, exp=int(time.time()) - 3)})
        await asyncio.wait_for(client.closed.wait(), 5)
        assert client.named("closing") == [{"code": ErrorCode.TOKEN_EXPIRED}]

    async def test_the_platforms_clock_decides(self, world: World, backend: StandIn) -> None:
        node = await world.node(clock_movable=True)
        client = await node.client().connect(1)
        backend.clock_offset_ms = 3_600_000
        await asyncio.wait_for(client.closed.wait(), 5)
        refusal = await node.client().refused({"token": make_token(1)})
        assert refusal["data"]["code"] == ErrorCode.TOKEN_EXPIRED
        later = int(time.time()) + 3600
        await node.client().connect(auth={"token": make_token(1, iat=later, exp=later + 900)})

    async def test_a_fresh_one_keeps_the_socket(self, node: RunningNode) -> None:
        client = await node.client().connect(auth={"token": make_token(1, exp=int(time.time()) - 3)})
        assert await client.call("authenticate", token=make_token(1)) == {"ok": True}
        over = int(time.time()) + 2.2
        await until(lambda: time.time() > over)
        assert (await client.call("ping"))["ok"]

    async def test_a_bad_one_changes_nothing(self, node: RunningNode, backend: StandIn) -> None:
        client = await node.client().connect(1)
        made = next(iter(node.node.clients))
        before = (made.token, made.session_id, made.expires_at)
        backend.ended.add(77)
        for token, code in (
            ("rubbish", ErrorCode.INVALID_TOKEN),
            (make_token(1, exp=1), ErrorCode.TOKEN_EXPIRED),
            (make_token(2), ErrorCode.FORBIDDEN),
            (make_token(1, sid=77), ErrorCode.SESSION_ENDED),
        ):
            assert (await client.call("authenticate", token=token))["code"] == code
        assert (made.token, made.session_id, made.expires_at) == before

    async def test_one_of_another_session_takes_its_place(self, node: RunningNode, backend: StandIn) -> None:
        client = await node.client().connect(1)
        assert (await client.call("authenticate", token=make_token(1, sid=12)))["ok"]
        await node.hearing("user:1")
        await backend.emit("user:1", "session.ended", session_id=10, reason="x")
        await client.wait_for("session.ended")
        assert (await client.call("ping"))["ok"]
        await backend.emit("user:1", "session.ended", session_id=12, reason="x")
        await asyncio.wait_for(client.closed.wait(), 1)
