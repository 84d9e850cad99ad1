"""Each member of a room gets each event once, in order, without a gap, whatever Redis does.

Seen red with these bugs planted: an event handed to the members of other rooms as well, a canary that nobody misses.
"""

import asyncio
from dataclasses import replace

import pytest
import pytest_asyncio

from realtime import handlers
from shared_contracts.errors import ErrorCode
from shared_contracts.redis_keys import NODES, room_channel
from shared_contracts.rooms import partition_of
from tests.realtime.clients import Client, until
from tests.realtime.conftest import QUICK, RunningNode, World
from tests.realtime.standin import StandIn
from tests.realtime.valkey import Valkey

pytestmark = pytest.mark.asyncio

ROOM = "conversation:7"
PATIENT = replace(QUICK, heads=60)
"""Heads are asked only when something says so."""


@pytest_asyncio.fixture
async def member(node: RunningNode, backend: StandIn) -> Client:
    """In the room, at number 0."""
    return await enter(node, backend, 1)


async def enter(node: RunningNode, backend: StandIn, user_id: int) -> Client:
    backend.allow(user_id, ROOM)
    client = await node.client().connect(user_id)
    assert (await client.call("join", room=ROOM))["ok"]
    await node.hearing(ROOM)
    return client


async def gets(client: Client, numbers: list[int]) -> None:
    await until(lambda: len(client.numbers(ROOM)) >= len(numbers))
    assert client.numbers(ROOM) == numbers


class TestJoining:
    async def test_answers_where_the_room_stands(self, node: RunningNode, backend: StandIn) -> None:
        backend.commit(ROOM)
        backend.allow(1, ROOM)
        client = await node.client().connect(1)
        answer = await client.call("join", room=ROOM)
        assert answer == {"ok": True, "cursor": "e1.1", "missed": [], "more": False, "resync_required": False}

    async def test_refuses_who_is_no_member(self, node: RunningNode, backend: StandIn) -> None:
        client = await node.client().connect(1)
        assert await client.call("join", room=ROOM) == {"ok": False, "code": ErrorCode.NOT_FOUND}
        await backend.emit(ROOM)
        await backend.emit("user:1")
        await client.wait_for("message.created")
        assert client.numbers(ROOM) == []
        assert node.node.hub.get(ROOM) is None

    @pytest.mark.parametrize("room", ["", "conversation:0", "conversation:01", "x:1", "user:1 ", "console:1", "*"])
    async def test_refuses_what_is_no_room(self, node: RunningNode, room: str) -> None:
        client = await node.client().connect(1)
        assert (await client.call("join", room=room))["code"] == ErrorCode.UNKNOWN_ROOM

    async def test_refuses_while_the_backend_is_away(self, node: RunningNode, backend: StandIn) -> None:
        client = await node.client().connect(1)
        backend.away = True
        assert (await client.call("join", room=ROOM))["code"] == ErrorCode.UNAVAILABLE
        assert node.node.hub.get(ROOM) is None

    async def test_refuses_more_rooms_than_a_socket_may_have(
        self, node: RunningNode, backend: StandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(handlers, "ROOMS_PER_SOCKET", 2)
        backend.allow(1, ROOM, "conversation:8")
        client = await node.client().connect(1)
        assert (await client.call("join", room=ROOM))["ok"]
        assert (await client.call("join", room="conversation:8"))["code"] == ErrorCode.TOO_MANY_ROOMS
        assert (await client.call("join", room=ROOM))["ok"]

    async def test_replays_from_the_cursor_then_goes_on(self, node: RunningNode, backend: StandIn) -> None:
        events = [backend.commit(ROOM, n=n) for n in range(3)]
        backend.allow(1, ROOM)
        client = await node.client().connect(1)
        answer = await client.call("join", room=ROOM, cursor="e1.1")
        assert (answer["missed"], answer["cursor"]) == (events[1:], "e1.3")
        await node.hearing(ROOM)
        await backend.emit(ROOM)
        await gets(client, [4])

    async def test_sends_nothing_new_before_the_rest_was_read(self, node: RunningNode, backend: StandIn) -> None:
        backend.missed_limit = 2
        for _ in range(3):
            backend.commit(ROOM)
        backend.allow(1, ROOM)
        client = await node.client().connect(1)
        answer = await client.call("join", room=ROOM, cursor="e1.0")
        assert (len(answer["missed"]), answer["more"], answer["cursor"]) == (2, True, "e1.2")
        await node.hearing(ROOM)
        await backend.emit(ROOM)
        room = node.node.hub.get(ROOM)
        await until(lambda: room is not None and room.last == 4)
        answer = await client.call("join", room=ROOM, cursor=answer["cursor"])
        assert ([event["number"] for event in answer["missed"]], answer["more"]) == ([3, 4], False)
        await backend.emit(ROOM)
        await gets(client, [5])

    async def test_says_resync_and_joins_all_the_same(self, node: RunningNode, backend: StandIn) -> None:
        backend.commit(ROOM)
        backend.allow(1, ROOM)
        client = await node.client().connect(1)
        answer = await client.call("join", room=ROOM, cursor="older.5")
        assert (answer["ok"], answer["resync_required"], answer["missed"], answer["cursor"]) == (True, True, [], "e1.1")
        await node.hearing(ROOM)
        await backend.emit(ROOM)
        await gets(client, [2])

    async def test_hands_out_what_came_meanwhile_after_the_answer(self, node: RunningNode, backend: StandIn) -> None:
        backend.allow(1, ROOM)
        client = await node.client().connect(1)
        backend.joins_held, made = asyncio.Event(), backend.joins_made
        joining = asyncio.create_task(client.call("join", room=ROOM, cursor="e1.0"))
        await until(lambda: backend.joins_made > made)
        await node.hearing(ROOM)
        for _ in range(3):
            await backend.emit(ROOM)
        room = node.node.hub.get(ROOM)
        await until(lambda: room is not None and len(room.waiting) == 3)
        backend.joins_held.set()
        answer = await joining
        assert (answer["cursor"], answer["missed"]) == ("e1.0", [])
        await gets(client, [1, 2, 3])

    async def test_fills_the_room_up_to_what_a_newcomer_knows(self, world: World, backend: StandIn) -> None:
        node = await world.node(PATIENT)
        first = await enter(node, backend, 1)
        backend.commit(ROOM)  # never published
        second = await enter(node, backend, 2)
        await gets(first, [1])
        await backend.emit(ROOM)
        await gets(first, [1, 2])
        await gets(second, [2])

    async def test_again_with_a_cursor_repeats_from_there(
        self, node: RunningNode, backend: StandIn, member: Client
    ) -> None:
        await backend.emit(ROOM)
        await gets(member, [1])
        assert len((await member.call("join", room=ROOM, cursor="e1.0"))["missed"]) == 1
        assert (await member.call("join", room=ROOM))["missed"] == []
        await backend.emit(ROOM)
        await gets(member, [1, 2])

    async def test_again_while_the_backend_is_away_loses_nothing(
        self, node: RunningNode, backend: StandIn, member: Client
    ) -> None:
        backend.away = True
        assert (await member.call("join", room=ROOM, cursor="e1.0"))["code"] == ErrorCode.UNAVAILABLE
        backend.away = False
        await backend.emit(ROOM)
        await gets(member, [1])


class TestLeaving:
    async def test_ends_the_events(self, node: RunningNode, backend: StandIn, member: Client) -> None:
        assert await member.call("leave", room=ROOM) == {"ok": True}
        await until(lambda: node.node.hub.get(ROOM) is None)
        await backend.emit(ROOM)
        await backend.emit("user:1")
        await member.wait_for("message.created")
        assert member.numbers(ROOM) == []
        counts = await backend.redis.execute_command("PUBSUB", "NUMSUB", room_channel(ROOM))
        assert counts[1] == 0

    async def test_is_refused_where_one_is_not(self, node: RunningNode) -> None:
        client = await node.client().connect(1)
        assert (await client.call("leave", room=ROOM))["code"] == ErrorCode.NOT_JOINED
        assert (await client.call("leave", room="user:1"))["code"] == ErrorCode.FORBIDDEN


class TestEvents:
    async def test_come_as_the_whole_envelope(self, backend: StandIn, member: Client) -> None:
        envelope = await backend.emit(ROOM, message={"id": 1, "content": "Où êtes-vous ?"})
        assert await member.wait_for("message.created") == envelope

    async def test_a_repeat_is_dropped(self, backend: StandIn, member: Client) -> None:
        envelope = await backend.emit(ROOM)
        await backend.publish(envelope)
        await backend.emit(ROOM)
        await gets(member, [1, 2])

    async def test_a_gap_is_filled_before_anything_newer(self, backend: StandIn, member: Client) -> None:
        for _ in range(3):
            backend.commit(ROOM)
        await backend.emit(ROOM)
        await backend.emit(ROOM)
        await gets(member, [1, 2, 3, 4, 5])

    async def test_a_wrong_order_is_put_right(self, backend: StandIn, member: Client) -> None:
        envelopes = [backend.commit(ROOM) for _ in range(4)]
        for envelope in reversed(envelopes):
            await backend.publish(envelope)
        await gets(member, [1, 2, 3, 4])

    async def test_a_gap_waits_for_the_backend(self, backend: StandIn, member: Client) -> None:
        backend.commit(ROOM)
        backend.away = True
        await backend.emit(ROOM)
        await backend.emit(ROOM)
        await asyncio.sleep(0.1)
        assert member.numbers(ROOM) == []
        backend.away = False
        await gets(member, [1, 2, 3])

    async def test_what_was_never_published_comes_with_the_heads(self, backend: StandIn, member: Client) -> None:
        backend.commit(ROOM)
        await gets(member, [1])

    async def test_what_is_not_kept_any_more_makes_the_members_read_afresh(
        self, backend: StandIn, member: Client
    ) -> None:
        backend.commit(ROOM)
        backend.commit(ROOM)
        backend.purged[ROOM] = 1
        await backend.emit(ROOM)
        assert (await member.wait_for("resync_required"))["data"] == {"cursor": "e1.1"}
        await gets(member, [2, 3])

    async def test_without_a_number_they_are_of_the_moment(self, backend: StandIn, member: Client) -> None:
        await backend.publish(backend.envelope(ROOM, "typing", None, {"on": True}))
        assert (await member.wait_for("typing"))["number"] is None

    @pytest.mark.parametrize("raw", [b"", b"{}", b"[1]", b'{"epoch":1}', b"\xff", b"{" * 5000])
    async def test_rubbish_in_the_channel_is_ignored(self, backend: StandIn, member: Client, raw: bytes) -> None:
        await backend.redis.publish(room_channel(ROOM), raw)
        await backend.redis.publish(NODES, raw)
        await backend.emit(ROOM)
        await gets(member, [1])

    async def test_a_number_that_the_backend_does_not_know_stops_nothing(
        self, node: RunningNode, backend: StandIn, member: Client
    ) -> None:
        await backend.publish(backend.envelope(ROOM, "message.created", 99, {}))
        await backend.emit(ROOM)
        await gets(member, [1])
        room = node.node.hub.get(ROOM)
        assert room is not None
        await until(lambda: room.filling is None)
        assert backend.calls.count("events") < 50  # it is not asked for in a tight loop

    async def test_another_epoch_makes_the_members_read_afresh(self, backend: StandIn, member: Client) -> None:
        await backend.emit(ROOM)
        await gets(member, [1])
        backend.restore("e2")
        await backend.emit(ROOM)
        # Their own room is told so as well, at any time: whoever looks at all heads may come first.
        await until(lambda: any(notice["room"] == ROOM for notice in member.named("resync_required")))
        [notice] = [notice for notice in member.named("resync_required") if notice["room"] == ROOM]
        assert (notice["number"], notice["epoch"], notice["data"]) == (None, "e2", {"cursor": "e2.1"})
        await backend.emit(ROOM)
        await gets(member, [1, 2])

    async def test_a_head_below_the_last_makes_the_members_read_afresh(self, backend: StandIn, member: Client) -> None:
        await backend.emit(ROOM)
        await backend.emit(ROOM)
        await gets(member, [1, 2])
        backend.restore("e1")
        await member.wait_for("resync_required")
        await backend.emit(ROOM)
        await gets(member, [1, 2, 1])

    async def test_a_relay_that_is_behind_makes_the_node_ask(self, world: World, backend: StandIn) -> None:
        node = await world.node(PATIENT)
        client = await enter(node, backend, 1)
        backend.commit(ROOM)
        other = (partition_of(ROOM) + 1) % 16
        if partition_of("user:1") != other:
            await backend.redis.publish(NODES, f'{{"partitions":[{other}]}}')
        await backend.redis.publish(NODES, f'{{"partitions":[{partition_of(ROOM)}]}}')
        await gets(client, [1])

    async def test_reach_the_members_on_every_node_that_needs_them(self, world: World, backend: StandIn) -> None:
        nodes = [await world.node() for _ in range(3)]
        clients = [await enter(node, backend, user_id) for user_id, node in enumerate(nodes[:2], 1)]
        heard = [await backend.publish(backend.commit(ROOM)) for _ in range(20)]
        for client in clients:
            await gets(client, list(range(1, 21)))
        assert heard == [2] * 20

    async def test_keep_their_order_in_a_storm_of_joins(self, node: RunningNode, backend: StandIn) -> None:
        """Whoever joins while events rain gets all from its cursor on, once each."""
        clients = [await node.client().connect(user_id) for user_id in range(1, 9)]
        for user_id in range(1, 9):
            backend.allow(user_id, ROOM)

        async def rain() -> None:
            for n in range(150):
                envelope = backend.commit(ROOM)
                if n % 10:
                    await backend.publish(envelope)
                await asyncio.sleep(0.001)

        raining = asyncio.create_task(rain())
        answers = []
        for client in clients:
            answers.append(await client.call("join", room=ROOM, cursor="e1.0"))
            await asyncio.sleep(0.01)
        await raining
        for client, answer in zip(clients, answers, strict=True):
            start = [event["number"] for event in answer["missed"]]
            await until(lambda client=client, start=start: len(start + client.numbers(ROOM)) >= 150)  # type: ignore[misc]
            assert start + client.numbers(ROOM) == list(range(1, 151))


class TestRedis:
    async def test_lost_and_back_loses_nothing(self, own_world: World, own_valkey: Valkey) -> None:
        node = await own_world.node(PATIENT)
        client = await enter(node, own_world.backend, 1)
        own_valkey.stop()
        await until(lambda: not node.node.subscriber.connected)
        for _ in range(3):
            own_world.backend.commit(ROOM)
        own_valkey.start()
        await gets(client, [1, 2, 3])
        await node.hearing(ROOM)
        await own_world.backend.emit(ROOM)
        await gets(client, [1, 2, 3, 4])

    async def test_away_delays_only(self, own_world: World, own_valkey: Valkey) -> None:
        node = await own_world.node()
        client = await enter(node, own_world.backend, 1)
        own_valkey.stop()
        own_world.backend.commit(ROOM)
        await gets(client, [1])
        newcomer = await node.client().connect(2)
        own_world.backend.allow(2, ROOM)
        assert (await newcomer.call("join", room=ROOM, cursor="e1.0"))["ok"]
        own_world.backend.commit(ROOM)
        await gets(newcomer, [2])
        async with own_world.http.get(f"{node.url}/readyz") as response:
            assert (response.status, (await response.json())["redis"]) == (200, "away")

    async def test_cutting_the_listener_off_is_mended(self, world: World, backend: StandIn) -> None:
        node = await world.node(PATIENT)
        client = await enter(node, backend, 1)
        await backend.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        backend.commit(ROOM)
        await gets(client, [1])

    async def test_a_deaf_listener_is_noticed(self, world: World, backend: StandIn) -> None:
        node = await world.node(PATIENT)
        client = await enter(node, backend, 1)
        subscriber = node.node.subscriber
        connects = node.node.metrics.reconnects._value.get()
        connection = subscriber._connection
        assert connection is not None
        await connection.send_command("UNSUBSCRIBE", check_health=False)  # from everything, as a bug would
        await until(lambda: subscriber.deaf)
        async with world.http.get(f"{node.url}/readyz") as response:
            assert response.status in {200, 503}
        await until(lambda: not subscriber.deaf)
        assert node.node.metrics.reconnects._value.get() == connects + 1
        await node.hearing(ROOM)
        await backend.emit(ROOM)
        await gets(client, [1])

    async def test_a_late_confirmation_makes_the_node_ask_again(self, own_world: World, own_valkey: Valkey) -> None:
        node = await own_world.node(replace(PATIENT, subscribe=0.01))
        client = await node.client().connect(1)
        own_world.backend.allow(1, ROOM)
        await node.hearing("user:1")
        await own_world.redis.execute_command("CLIENT", "PAUSE", "300", "ALL")
        assert (await client.call("join", room=ROOM))["ok"]
        own_world.backend.commit(ROOM)  # after the answer, before the subscription
        await gets(client, [1])
