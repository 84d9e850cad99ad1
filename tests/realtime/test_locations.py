"""Live positions: whose they are comes from the session, who may send them from the backend's word."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from realtime import locations
from shared_contracts.errors import ErrorCode
from shared_contracts.redis_keys import POSITIONS_PENDING, last_location
from tests.realtime.clients import Client, until
from tests.realtime.conftest import QUICK, RunningNode, World
from tests.realtime.standin import StandIn
from tests.realtime.valkey import Valkey

pytestmark = pytest.mark.asyncio

JOB = "assistance:9"
CLIENT, ASSISTANT, MANAGER = 1, 2, 3
HERE = {"lat": 36.75, "lng": 3.05}
NO_SIGNS_OF_LIFE = replace(QUICK, duty=60)


def iso(seconds_ago: float = 0) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat()


@pytest_asyncio.fixture
async def node(world: World) -> RunningNode:
    return await world.node(NO_SIGNS_OF_LIFE)


def open_job(backend: StandIn, status: str) -> None:
    backend.allow(CLIENT, JOB)
    backend.allow(ASSISTANT, JOB, f"assistant:{ASSISTANT}")
    backend.contexts[JOB] = {"status": status, "party": True, "party_ids": [CLIENT, ASSISTANT]}


async def enter(node: RunningNode, user_id: int, room: str = JOB) -> Client:
    client = await node.client().connect(user_id)
    assert (await client.call("join", room=room))["ok"]
    await node.hearing(room)
    return client


async def pending(backend: StandIn, user_id: int) -> dict[str, Any] | None:
    raw = await backend.redis.hget(POSITIONS_PENDING, str(user_id))
    return None if raw is None else msgspec.json.decode(raw)


class TestWhoMaySend:
    async def test_nobody_off_duty_and_without_a_job(self, node: RunningNode, backend: StandIn) -> None:
        backend.allow(ASSISTANT, f"assistant:{ASSISTANT}")
        client = await node.client().connect(ASSISTANT)
        assert (await client.call("location.update", **HERE))["code"] == ErrorCode.NOT_ON_DUTY
        assert await backend.redis.keys("callout:*") == []

    async def test_an_assistant_on_duty(self, node: RunningNode, backend: StandIn) -> None:
        backend.allow(ASSISTANT, f"assistant:{ASSISTANT}")
        backend.allow(MANAGER, "console")
        backend.contexts[f"assistant:{ASSISTANT}"] = {"on_duty": True}
        manager = await enter(node, MANAGER, "console")
        client = await node.client().connect(ASSISTANT)
        at = iso(1)
        assert await client.call("location.update", **HERE, heading=90, speed=12.5, accuracy=4, at=at) == {"ok": True}
        shown = await manager.wait_for("assistance.location")
        assert (shown["room"], shown["number"], shown["epoch"]) == ("console", None, "e1")
        assert shown["data"] | {"at": at} == HERE | {
            "assistance_id": None,
            "user_id": ASSISTANT,
            "heading": 90.0,
            "speed": 12.5,
            "accuracy": 4.0,
            "at": at,
        }
        kept = await pending(backend, ASSISTANT)
        assert kept is not None
        assert (kept["lat"], kept["lng"], kept["heading"]) == (36.75, 3.05, 90.0)
        assert await backend.redis.get(last_location(ASSISTANT)) is None  # nobody's job

    @pytest.mark.parametrize("status", ["accepted", "ongoing"])
    async def test_both_sides_of_a_job(self, node: RunningNode, backend: StandIn, status: str) -> None:
        open_job(backend, status)
        client, assistant = await enter(node, CLIENT), await enter(node, ASSISTANT)
        assert (await client.call("location.update", **HERE))["ok"]
        seen = await assistant.wait_for("assistance.location")
        assert (seen["room"], seen["data"]["assistance_id"], seen["data"]["user_id"]) == (JOB, 9, CLIENT)
        assert await pending(backend, CLIENT) is None  # only assistants have a place on the map
        assert 100 < await backend.redis.ttl(last_location(CLIENT)) <= 120
        assert (await assistant.call("location.update", **HERE))["ok"]
        assert (await client.wait_for("assistance.location", 2))["data"]["user_id"] == ASSISTANT
        assert await pending(backend, ASSISTANT) is not None

    async def test_a_waiting_client_is_shown_to_nobody_yet(self, node: RunningNode, backend: StandIn) -> None:
        open_job(backend, "requested")
        backend.contexts[JOB]["party_ids"] = [CLIENT]
        client = await enter(node, CLIENT)
        assert (await client.call("location.update", **HERE))["ok"]
        await backend.emit("user:1")
        await client.wait_for("message.created")
        assert client.named("assistance.location") == []
        assert await backend.redis.get(last_location(CLIENT)) is not None

    @pytest.mark.parametrize("status", ["completed", "canceled", "expired"])
    async def test_nobody_after_the_job(self, node: RunningNode, backend: StandIn, status: str) -> None:
        open_job(backend, "ongoing")
        client = await enter(node, CLIENT)
        people = {"client": {"id": CLIENT, "name": "C"}, "assistant": {"id": ASSISTANT, "name": "A"}}
        await backend.emit(JOB, "assistance.status", status=status, **people)
        await client.wait_for("assistance.status")
        assert (await client.call("location.update", **HERE))["code"] == ErrorCode.NOT_ON_DUTY

    async def test_whom_the_status_makes_party(self, node: RunningNode, backend: StandIn) -> None:
        """The job's own events say who is party, without asking again."""
        open_job(backend, "requested")
        backend.contexts[JOB] = {"status": "requested", "party": False, "party_ids": [CLIENT]}
        client, assistant = await enter(node, CLIENT), await enter(node, ASSISTANT)
        assert (await assistant.call("location.update", **HERE))["code"] == ErrorCode.NOT_ON_DUTY
        people = {"client": {"id": CLIENT, "name": "C"}, "assistant": {"id": ASSISTANT, "name": "A"}}
        await backend.emit(JOB, "assistance.status", status="accepted", **people)
        await assistant.wait_for("assistance.status")
        assert (await assistant.call("location.update", **HERE))["ok"]
        assert (await client.wait_for("assistance.location"))["data"]["user_id"] == ASSISTANT

    async def test_on_duty_follows_access_changed(self, node: RunningNode, backend: StandIn) -> None:
        backend.allow(ASSISTANT, f"assistant:{ASSISTANT}")
        client = await node.client().connect(ASSISTANT)
        await node.hearing("user:2")
        backend.contexts[f"assistant:{ASSISTANT}"] = {"on_duty": True}
        await backend.emit("user:2", "access.changed")
        (made,) = node.node.clients
        await until(lambda: made.rooms[f"assistant:{ASSISTANT}"].on_duty)
        assert (await client.call("location.update", **HERE))["ok"]


class TestPositions:
    @pytest_asyncio.fixture
    async def assistant(self, node: RunningNode, backend: StandIn) -> Client:
        backend.allow(ASSISTANT, f"assistant:{ASSISTANT}")
        backend.contexts[f"assistant:{ASSISTANT}"] = {"on_duty": True}
        return await node.client().connect(ASSISTANT)

    async def test_an_older_one_is_dropped(self, backend: StandIn, assistant: Client) -> None:
        assert (await assistant.call("location.update", lat=1, lng=1, at=iso(5)))["ok"]
        assert await assistant.call("location.update", lat=2, lng=2, at=iso(10)) == {"ok": True}
        kept = await pending(backend, ASSISTANT)
        assert kept is not None
        assert kept["lat"] == 1

    async def test_the_future_is_now(self, backend: StandIn, assistant: Client) -> None:
        await assistant.call("location.update", **HERE, at=iso(-3600))
        kept = await pending(backend, ASSISTANT)
        assert kept is not None
        assert datetime.fromisoformat(kept["at"]).timestamp() <= time.time()

    async def test_a_leap_is_taken_and_counted(self, node: RunningNode, backend: StandIn, assistant: Client) -> None:
        await assistant.call("location.update", lat=36.75, lng=3.05, at=iso(10))
        await assistant.call("location.update", lat=36.755, lng=3.05, at=iso(2))  # 556 m in 8 s
        assert node.node.metrics.leaps._value.get() == 0
        await assistant.call("location.update", lat=40, lng=3.05)
        assert node.node.metrics.leaps._value.get() == 1
        kept = await pending(backend, ASSISTANT)
        assert kept is not None
        assert kept["lat"] == 40

    async def test_more_than_two_a_second_are_refused(self, assistant: Client) -> None:
        answers = [await assistant.call("location.update", **HERE) for _ in range(6)]
        assert [answer.get("code") for answer in answers[4:]] == [ErrorCode.RATE_LIMITED] * 2
        assert all(answer["ok"] for answer in answers[:4])

    async def test_redis_away_is_an_answer(
        self, own_world: World, own_valkey: Valkey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(locations, "REDIS_SECONDS", 0.2)
        own_world.backend.allow(ASSISTANT, f"assistant:{ASSISTANT}")
        own_world.backend.contexts[f"assistant:{ASSISTANT}"] = {"on_duty": True}
        node = await own_world.node()
        client = await node.client().connect(ASSISTANT)
        own_valkey.stop()
        assert (await client.call("location.update", **HERE))["code"] == ErrorCode.UNAVAILABLE
        own_valkey.start()
        await asyncio.sleep(0)
        assert (await client.call("location.update", **HERE))["ok"]

    async def test_a_live_socket_keeps_them_fresh(self, world: World, backend: StandIn) -> None:
        node = await world.node()
        backend.allow(ASSISTANT, f"assistant:{ASSISTANT}")
        backend.allow(4, "assistant:4")
        backend.contexts[f"assistant:{ASSISTANT}"] = {"on_duty": True}
        await backend.redis.hset(POSITIONS_PENDING, "5", "x")
        for user_id in (ASSISTANT, 4):
            await node.client().connect(user_id)
        async with asyncio.timeout(2):
            while (kept := await pending(backend, ASSISTANT)) is None:
                await asyncio.sleep(0.01)
        assert kept["lat"] is None
        assert abs(datetime.fromisoformat(kept["at"]).timestamp() - time.time()) < 2
        assert await pending(backend, 4) is None  # off duty

    async def test_a_sign_of_life_never_replaces_a_position(self, world: World, backend: StandIn) -> None:
        node = await world.node()
        backend.allow(ASSISTANT, f"assistant:{ASSISTANT}")
        backend.contexts[f"assistant:{ASSISTANT}"] = {"on_duty": True}
        client = await node.client().connect(ASSISTANT)
        await client.call("location.update", **HERE)
        await asyncio.sleep(0.25)  # two signs of life
        kept = await pending(backend, ASSISTANT)
        assert kept is not None
        assert kept["lat"] == 36.75


class TestJoiningLater:
    async def test_shows_where_the_other_is(self, node: RunningNode, backend: StandIn) -> None:
        open_job(backend, "accepted")
        assistant = await enter(node, ASSISTANT)
        await assistant.call("location.update", **HERE)
        client = await enter(node, CLIENT)
        seen = await client.wait_for("assistance.location")
        assert (seen["number"], seen["data"]["user_id"], seen["data"]["assistance_id"]) == (None, ASSISTANT, 9)

    async def test_shows_nothing_of_a_job_that_is_over(self, node: RunningNode, backend: StandIn) -> None:
        open_job(backend, "accepted")
        assistant = await enter(node, ASSISTANT)
        await assistant.call("location.update", **HERE)
        backend.contexts[JOB]["status"] = "completed"
        client = await enter(node, CLIENT)
        await client.call("ping")
        assert client.named("assistance.location") == []
