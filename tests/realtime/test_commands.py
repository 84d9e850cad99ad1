"""The commands pass on to the backend what the client may ask, as the client."""

import json
from typing import Any

import pytest

from shared_contracts.commands import COMMANDS
from shared_contracts.errors import ErrorCode
from shared_contracts.internal import CREDENTIAL_HEADER
from tests.realtime.clients import make_token
from tests.realtime.conftest import RunningNode, World
from tests.realtime.standin import CREDENTIAL, StandIn

pytestmark = pytest.mark.asyncio

MESSAGE = {"content": "Bonjour", "client_id": "c-1"}


class TestCommands:
    @pytest.mark.parametrize(
        ("target", "path"),
        [
            ({"conversation_id": 7}, "/api/v1/conversations/7/messages/"),
            ({"assistance_id": 9}, "/api/v1/assistance/9/messages/"),
        ],
    )
    async def test_message_send_posts_as_the_person(
        self, world: World, backend: StandIn, target: dict[str, int], path: str
    ) -> None:
        node = await world.node()
        token = make_token(1)
        client = await node.client().connect(auth={"token": token})
        answer = await client.call("message.send", **target, **MESSAGE)
        assert answer == {"ok": True, "message": {"id": 1}}
        (act,) = backend.acts
        assert (act.path, act.body) == (path, MESSAGE)
        assert act.headers["Authorization"] == f"Bearer {token}"
        assert act.headers[CREDENTIAL_HEADER] == CREDENTIAL
        assert act.headers["X-Forwarded-For"] == "127.0.0.1"
        assert len(act.headers["X-Request-ID"]) == 32

    async def test_of_one_client_are_done_in_their_order(self, node: RunningNode, backend: StandIn) -> None:
        """R6. Red when a command begins before the one before it has ended, as `async_handlers=True` has it: seen."""
        raw = await (await node.raw()).let_in()
        backend.act_pauses = [0.05, 0.02, 0.0] * 10
        for n in range(30):
            words = {"conversation_id": 7, "content": f"{n}", "client_id": f"c-{n}"}
            await raw.socket.send_str(f"42{n}{json.dumps(['message.send', words])}")
        answered = [int((await raw.read()).removeprefix("43").partition("[")[0]) for _ in range(30)]
        assert answered == list(range(30))
        assert [act.body["content"] for act in backend.acts] == [f"{n}" for n in range(30)]

    @pytest.mark.parametrize("act", ["accept", "decline"])
    async def test_an_offer_is_answered_as_by_rest(self, node: RunningNode, backend: StandIn, act: str) -> None:
        backend.act_answer = (200, {"id": 9, "status": "accepted"})
        client = await node.client().connect(1)
        answer = await client.call(f"assistance.{act}", id=9)
        assert answer == {"ok": True, "assistance": {"id": 9, "status": "accepted"}}
        assert (backend.acts[0].path, backend.acts[0].body) == (f"/api/v1/assistance/9/{act}/", {})

    async def test_a_problem_is_passed_on(self, node: RunningNode, backend: StandIn) -> None:
        errors = [{"field": "content", "code": "too_long", "message": "Too long."}]
        problem = {"type": "x", "title": "y", "status": 409, "code": "already_accepted", "detail": "Late."}
        backend.act_answer = (409, problem | {"errors": errors})
        client = await node.client().connect(1)
        assert await client.call("assistance.accept", id=9) == {
            "ok": False,
            "code": ErrorCode.ALREADY_ACCEPTED,
            "detail": "Late.",
            "errors": errors,
        }

    async def test_the_backend_away_is_an_answer(self, node: RunningNode, backend: StandIn) -> None:
        client = await node.client().connect(1)
        backend.away = True
        assert (await client.call("message.send", conversation_id=1, **MESSAGE))["code"] == ErrorCode.UNAVAILABLE
        assert (await client.call("ping")) == {"ok": True}

    @pytest.mark.parametrize(
        ("name", "payload", "field"),
        [
            ("join", {}, "room"),
            ("join", {"room": "user:1", "x": 1}, "x"),
            ("join", "user:1", ""),
            ("join", {"room": 5}, "room"),
            ("message.send", MESSAGE | {"conversation_id": "7"}, "conversation_id"),
            ("message.send", MESSAGE | {"conversation_id": 0}, "conversation_id"),
            ("message.send", MESSAGE | {"conversation_id": 2**63}, "conversation_id"),
            ("message.send", MESSAGE | {"conversation_id": True}, "conversation_id"),
            ("message.send", {"conversation_id": 1, "content": "x" * 4001, "client_id": "c"}, "content"),
            ("message.send", {"conversation_id": 1, "content": "x", "client_id": "a b"}, "client_id"),
            ("assistance.accept", {"id": None}, "id"),
            ("location.update", {"lat": 91, "lng": 0}, "lat"),
            ("location.update", {"lat": 0, "lng": 0, "at": "2026-01-01T00:00:00"}, "at"),
            ("location.update", {"lat": 0, "lng": 0, "user_id": 5}, "user_id"),
        ],
    )
    async def test_what_is_not_valid_is_said_field_by_field(
        self, node: RunningNode, backend: StandIn, name: str, payload: Any, field: str
    ) -> None:
        client = await node.client().connect(1)
        answer = await client.socket.call(name, payload)
        assert (answer["ok"], answer["code"]) == (False, ErrorCode.VALIDATION_FAILED)
        assert [error["field"] for error in answer["errors"]] == [field]
        assert all(set(error) == {"field", "code", "message"} for error in answer["errors"])
        assert backend.acts == []

    @pytest.mark.parametrize("target", [{}, {"conversation_id": 1, "assistance_id": 2}])
    async def test_a_message_has_one_place(self, node: RunningNode, backend: StandIn, target: dict[str, int]) -> None:
        client = await node.client().connect(1)
        answer = await client.call("message.send", **target, **MESSAGE)
        assert (answer["code"], backend.acts) == (ErrorCode.VALIDATION_FAILED, [])

    async def test_an_unknown_one_is_an_answer(self, node: RunningNode) -> None:
        client = await node.client().connect(1)
        assert (await client.call("user.delete", id=1))["code"] == ErrorCode.UNKNOWN_COMMAND
        assert (await client.socket.call("ping", ({}, {})))["code"] == ErrorCode.VALIDATION_FAILED

    async def test_a_failure_of_our_own_leaks_nothing(
        self, node: RunningNode, backend: StandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(*_: object, **__: object) -> None:
            raise RuntimeError("secret")

        monkeypatch.setattr(node.node.hub, "join", fail)
        client = node.client()
        refusal = await client.refused({"token": make_token(1)})
        assert refusal == {"message": "The server has failed.", "data": {"code": ErrorCode.INTERNAL_ERROR}}
        monkeypatch.undo()
        await client.connect(1)
        monkeypatch.setattr(node.node.hub, "join", fail)
        answer = await client.call("join", room="conversation:1")
        assert answer == {"ok": False, "code": ErrorCode.INTERNAL_ERROR, "detail": "The server has failed."}

    async def test_need_no_acknowledgement(self, node: RunningNode, backend: StandIn) -> None:
        backend.allow(1, "conversation:7")
        client = await node.client().connect(1)
        await client.socket.emit("join", {"room": "conversation:7"})
        await client.call("ping")
        await node.hearing("conversation:7")
        await backend.emit("conversation:7")
        await client.wait_for("message.created")

    async def test_all_have_a_handler(self, node: RunningNode) -> None:
        assert set(node.node.gateway._handlers) == {command.name for command in COMMANDS}
