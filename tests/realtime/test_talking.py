"""Who is writing, and who is connected."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from shared_contracts.errors import ErrorCode
from shared_contracts.events import Presence
from shared_contracts.redis_keys import last_seen, presence
from tests.realtime.clients import Client, until
from tests.realtime.conftest import QUICK, RunningNode, World
from tests.realtime.standin import StandIn

pytestmark = pytest.mark.asyncio

TALK = "conversation:7"
ANA, BO, CEM = 1, 2, 3
LIVELY = replace(QUICK, presence=0.05, presence_renewal=0.3)


@pytest_asyncio.fixture
async def node(world: World) -> AsyncIterator[RunningNode]:
    yield await world.node(LIVELY)


def open_talk(backend: StandIn, *people: int, **context: Any) -> None:
    for user_id in people:
        backend.allow(user_id, TALK)
    backend.contexts[TALK] = {"party_ids": list(people), **context}


async def enter(node: RunningNode, user_id: int) -> Client:
    client = await node.client().connect(user_id)
    assert (await client.call("join", room=TALK))["ok"]
    await node.hearing(TALK)
    return client


class TestTyping:
    async def test_is_told_to_the_others_in_the_room(self, node: RunningNode, backend: StandIn) -> None:
        open_talk(backend, ANA, BO)
        ana, bo = await enter(node, ANA), await enter(node, BO)
        assert await ana.call("typing", conversation_id=7, on=True) == {"ok": True}
        event = await bo.wait_for("typing")
        assert (event["room"], event["number"]) == (TALK, None)
        assert event["data"] == {"conversation_id": 7, "user_id": ANA, "on": True}
        await bo.call("typing", conversation_id=7, on=False)
        await ana.wait_for("typing")
        assert [seen["data"]["user_id"] for seen in ana.named("typing")] == [BO]

    async def test_is_nothing_to_who_has_blocked_the_other(self, node: RunningNode, backend: StandIn) -> None:
        """Seen red with frames handed out to everybody in the room."""
        open_talk(backend, ANA, BO, is_deaf=True)
        bo = await enter(node, BO)
        open_talk(backend, ANA, BO)
        ana = await enter(node, ANA)
        assert (await ana.call("typing", conversation_id=7, on=True))["ok"]
        await backend.emit(TALK, n=1)
        await bo.wait_for("message.created")
        assert bo.named("typing") == bo.named("presence") == []

    async def test_is_of_no_effect_elsewhere(self, node: RunningNode, backend: StandIn) -> None:
        """Z5: rooms of others, rooms that one has left."""
        open_talk(backend, BO, CEM)
        bo = await enter(node, BO)
        ana = await node.client().connect(ANA)
        assert (await ana.call("typing", conversation_id=7, on=True))["code"] == ErrorCode.NOT_JOINED
        cem = await enter(node, CEM)
        await backend.emit(TALK, "member.removed", user={"id": CEM, "name": "Cem"})
        await cem.wait_for("member.removed")
        assert (await cem.call("typing", conversation_id=7, on=True))["code"] == ErrorCode.NOT_JOINED
        await backend.emit(TALK, n=1)
        await bo.wait_for("message.created")
        assert bo.named("typing") == []

    async def test_comes_now_and_then_only(self, node: RunningNode, backend: StandIn) -> None:
        open_talk(backend, ANA, BO)
        ana = await enter(node, ANA)
        codes = [(await ana.call("typing", conversation_id=7, on=True)).get("code") for _ in range(20)]
        assert ErrorCode.RATE_LIMITED in codes

    async def test_wants_a_conversation_and_a_word(self, node: RunningNode) -> None:
        ana = await node.client().connect(ANA)
        for body in ({}, {"conversation_id": 7}, {"conversation_id": "7", "on": True}, {"conversation_id": 7, "on": 1}):
            assert (await ana.call("typing", **body))["code"] == ErrorCode.VALIDATION_FAILED


class TestReceipts:
    @pytest.mark.parametrize("how", ["read", "delivered"])
    async def test_are_posted_as_the_person(self, node: RunningNode, backend: StandIn, how: str) -> None:
        backend.act_answer = (204, None)
        ana = await node.client().connect(ANA)
        assert await ana.call(f"message.{how}", conversation_id=7, message_id=9) == {"ok": True}
        assert [(act.path, act.body) for act in backend.acts] == [
            (f"/api/v1/conversations/7/{how}/", {"message_id": 9})
        ]

    async def test_a_message_may_carry_files_and_no_words(self, node: RunningNode, backend: StandIn) -> None:
        ana = await node.client().connect(ANA)
        assert (await ana.call("message.send", conversation_id=7, client_id="c-1", attachments=[4, 5]))["ok"]
        assert backend.acts[0].body == {"client_id": "c-1", "attachments": [4, 5]}


class TestPresence:
    async def test_is_shown_to_who_joins_and_told_when_it_changes(
        self, world: World, node: RunningNode, backend: StandIn
    ) -> None:
        open_talk(backend, ANA, BO)
        ana = await enter(node, ANA)
        assert (await ana.wait_for("presence"))["data"] == {
            "user_id": BO,
            "is_online": False,
            "last_seen_at": None,
        }
        other = await world.node(LIVELY)
        bo = await other.client().connect(BO)
        assert (await ana.wait_for("presence", 2))["data"] == {"user_id": BO, "is_online": True, "last_seen_at": None}
        await bo.socket.disconnect()
        gone = (await ana.wait_for("presence", 3))["data"]
        assert (gone["user_id"], gone["is_online"]) == (BO, False)
        assert gone["last_seen_at"] is not None

    async def test_ends_with_a_node_that_dies(self, world: World, node: RunningNode, backend: StandIn) -> None:
        """Seen red with notes that do not run out."""
        open_talk(backend, ANA, BO)
        ana = await enter(node, ANA)
        other = await world.node(LIVELY)
        await other.client().connect(BO)
        await ana.wait_for("presence", 2)
        other.node.talking._note = _nothing  # type: ignore[method-assign]
        assert (await ana.wait_for("presence", 3))["data"]["is_online"] is False

    async def test_is_nobody_s_business_where_it_is_hidden(self, node: RunningNode, backend: StandIn) -> None:
        open_talk(backend, ANA, BO)
        backend.contexts[f"user:{BO}"] = {"hides_presence": True}
        await node.client().connect(BO)
        await until(lambda: BO in node.node.talking._hidden)
        assert not await backend.redis.exists(presence(BO), last_seen(BO))
        ana = await enter(node, ANA)
        assert (await ana.wait_for("presence"))["data"]["is_online"] is False

    async def test_of_who_hides_it_is_forgotten_when_they_come(self, node: RunningNode, backend: StandIn) -> None:
        """Seen red with `last_seen` deleted only of those whom this node had noted as connected."""
        open_talk(backend, ANA, BO)
        backend.contexts[f"user:{BO}"] = {"hides_presence": True}
        await backend.redis.set(last_seen(BO), "2030-05-15T09:30:00+00:00")
        await node.client().connect(BO)
        await until(lambda: BO in node.node.talking._hidden)
        assert not await backend.redis.exists(presence(BO), last_seen(BO))
        ana = await enter(node, ANA)
        assert (await ana.wait_for("presence"))["data"] == {"user_id": BO, "is_online": False, "last_seen_at": None}

    async def test_of_who_hid_it_while_away_is_not_told(self, node: RunningNode, backend: StandIn) -> None:
        """The backend's word wins, and nothing of them is kept. Seen red with what Redis holds handed out, and left.

        Redis may not answer at the join: seen red with nobody shown later who could not be shown then.
        """
        open_talk(backend, ANA, BO, CEM, hidden_ids=[BO])
        for user_id in (BO, CEM):
            await backend.redis.set(last_seen(user_id), "2030-05-15T09:30:00+00:00")
        await backend.redis.zadd(presence(BO), {"another node": 2**40})
        talking = node.node.talking
        slow = iter([TimeoutError])
        ask = talking._ask

        async def asked(user_ids: Collection[int]) -> list[Presence]:
            for late in slow:
                raise late
            return await ask(user_ids)

        talking._ask = asked  # type: ignore[method-assign]
        ana = await enter(node, ANA)
        await until(lambda: {one["data"]["user_id"] for one in ana.named("presence")} == {BO, CEM})
        seen = {one["data"]["user_id"]: one["data"] for one in ana.named("presence")}
        assert seen[BO] == {"user_id": BO, "is_online": False, "last_seen_at": None}
        assert seen[CEM]["last_seen_at"] is not None
        assert not await backend.redis.exists(presence(BO), last_seen(BO))

    async def test_is_not_shown_before_the_backend_has_said_whether_it_may_be(
        self, node: RunningNode, backend: StandIn
    ) -> None:
        """Seen red with everybody shown of whom nothing is known."""
        backend.contexts[f"user:{BO}"] = {"hides_presence": True}
        backend.joins_held = asyncio.Event()
        coming = asyncio.create_task(node.client().connect(BO))
        await until(lambda: node.node.clients.person(BO) is not None)
        await node.node.talking._note()
        assert not await backend.redis.exists(presence(BO), last_seen(BO))
        backend.joins_held.set()
        await coming

    async def test_hiding_takes_effect_at_once(self, node: RunningNode, backend: StandIn) -> None:
        open_talk(backend, ANA, BO)
        await node.client().connect(BO)
        await until(lambda: BO in node.node.talking._noted)
        ana = await enter(node, ANA)
        assert (await ana.wait_for("presence"))["data"]["is_online"] is True
        backend.contexts[f"user:{BO}"] = {"hides_presence": True}
        await node.hearing(f"user:{BO}")
        await backend.emit(f"user:{BO}", "access.changed")
        assert (await ana.wait_for("presence", 2))["data"] == {"user_id": BO, "is_online": False, "last_seen_at": None}

    async def test_follows_who_joins_and_leaves_the_conversation(self, node: RunningNode, backend: StandIn) -> None:
        open_talk(backend, ANA, BO)
        await enter(node, ANA)
        room = node.node.hub.get(TALK)
        assert room is not None
        await backend.emit(TALK, "member.added", user={"id": CEM, "name": "Cem"})
        await until(lambda: CEM in room.party_ids)
        await backend.emit(TALK, "member.removed", user={"id": BO, "name": "Bo"})
        await until(lambda: BO not in room.party_ids)


async def _nothing() -> None:
    """Notes nothing any more, as if the node were dead."""
