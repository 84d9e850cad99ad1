"""Nothing is sent and nothing runs before authentication is complete.

Seen red with the bug planted: a client let in although the backend could not be asked.
"""

import json
import time
from typing import Any

import jwt
import pytest

from shared_contracts.errors import ErrorCode
from tests.realtime.clients import make_token, until
from tests.realtime.conftest import RunningNode, World
from tests.realtime.standin import StandIn

pytestmark = pytest.mark.asyncio

BAD_TOKENS = {
    "no token at all": "",
    "not a token": "abc.def.ghi",
    "unsigned": jwt.encode({"sub": "1"}, "", algorithm="none", headers={"kid": "test", "typ": "at+jwt"}),
    "signed with another key": make_token(key="another key that is long enough for us"),
    "of an unknown key": make_token(header={"kid": "other"}),
    "of a path as key": make_token(header={"kid": "../../dev/null"}),
    "with another algorithm": make_token(algorithm="HS384"),
    "of another type": make_token(header={"typ": "rt+jwt"}),
    "with an unknown critical header": make_token(header={"crit": ["x"], "x": 1}),
    "of another issuer": make_token(iss="someone"),
    "for another audience": make_token(aud="callout:refresh"),
    "without an end": make_token(exp=None),
    "without a session": make_token(sid=None),
    "with a subject that is no id": make_token(sub="01"),
    "with a text as roles": make_token(roles="client"),
    "from the future": make_token(iat=int(time.time()) + 3600, exp=int(time.time()) + 7200),
    "too long": make_token(pad="x" * 5000),
}


class TestConnecting:
    async def test_joins_the_persons_own_rooms(self, node: RunningNode, backend: StandIn) -> None:
        backend.allow(1, "assistant:1")
        backend.commit("user:1")
        client = await node.client().connect(1)
        ready = await client.wait_for("ready")
        assert set(ready["rooms"]) == {"user:1", "assistant:1"}
        assert ready["rooms"]["user:1"] == {
            "ok": True,
            "cursor": "e1.1",
            "missed": [],
            "more": False,
            "resync_required": False,
        }
        assert backend.calls.count("joins") == 1  # both rooms in one call

    async def test_hands_out_what_was_missed_since_the_cursors(self, node: RunningNode, backend: StandIn) -> None:
        first, second = backend.commit("user:1", n=1), backend.commit("user:1", n=2)
        client = await node.client().connect(1, cursors={"user:1": "e1.0", "user:2": "e1.0"})
        ready = await client.wait_for("ready")
        assert ready["rooms"]["user:1"]["missed"] == [first, second]
        assert set(ready["rooms"]) == {"user:1"}

    @pytest.mark.parametrize("kind", BAD_TOKENS)
    async def test_refuses_a_token(self, node: RunningNode, backend: StandIn, kind: str) -> None:
        client = node.client()
        refusal = await client.refused({"token": BAD_TOKENS[kind]})
        assert refusal["data"] == {"code": ErrorCode.INVALID_TOKEN}
        assert (client.events, backend.calls.count("joins")) == ([], 0)

    async def test_refuses_an_expired_token(self, node: RunningNode) -> None:
        refusal = await node.client().refused({"token": make_token(exp=int(time.time()) - 6)})
        assert refusal == {"message": "The access token has expired.", "data": {"code": ErrorCode.TOKEN_EXPIRED}}

    async def test_takes_a_token_within_the_leeway(self, node: RunningNode) -> None:
        client = node.client()
        await client.connect(auth={"token": make_token(exp=int(time.time()) - 2)})

    async def test_takes_a_fresh_token_of_a_machine_half_a_minute_ahead(self, node: RunningNode) -> None:
        """T5. Red when the start of a token has the five seconds of its end: seen."""
        soon = int(time.time()) + 28
        await node.client().connect(auth={"token": make_token(iat=soon, exp=soon + 900)})

    @pytest.mark.parametrize("auth", [None, {}, "token", 7, ["x"], {"token": 5}, {"token": "x", "extra": 1}])
    async def test_refuses_any_other_auth(self, node: RunningNode, auth: Any) -> None:
        refusal = await node.client().refused(auth)
        assert refusal["data"]["code"] in {ErrorCode.NOT_AUTHENTICATED, ErrorCode.INVALID_TOKEN}

    async def test_refuses_an_ended_session(self, node: RunningNode, backend: StandIn) -> None:
        backend.ended.add(10)
        refusal = await node.client().refused({"token": make_token(1)})
        assert refusal["data"]["code"] == ErrorCode.SESSION_ENDED
        assert len(node.node.hub) == len(node.node.clients) == 0

    async def test_refuses_while_the_backend_is_away(self, node: RunningNode, backend: StandIn) -> None:
        """And then neither broadcasts nor commands reach anything (RELIABILITY.md R5)."""
        backend.away = True
        raw = await node.raw()
        await raw.socket.send_str("40" + json.dumps({"token": make_token(1)}))
        refusal = json.loads((await raw.read()).removeprefix("44"))
        assert refusal["data"]["code"] == ErrorCode.UNAVAILABLE
        assert refusal["data"]["reconnect_in_ms"] >= 0
        backend.away = False
        await raw.socket.send_str('421["ping",{}]')
        await raw.socket.send_str('422["message.send",{"conversation_id":1,"content":"x","client_id":"c"}]')
        await backend.emit("user:1")
        assert await raw.read_to_end() == [raw.texts[0], raw.texts[1], "1"]  # closed for not authenticating
        assert (backend.acts, len(node.node.hub)) == ([], 0)

    async def test_closes_whoever_does_not_authenticate(self, node: RunningNode) -> None:
        raw = await node.raw()
        assert (await raw.read_to_end())[1:] == ["1"]
        await until(lambda: not node.node.sockets.eio.sockets)

    async def test_does_not_run_the_connect_handler_by_name(self, node: RunningNode) -> None:
        raw = await (await node.raw()).let_in()
        for name in ("connect", "disconnect"):
            await raw.socket.send_str(f'425["{name}",{{}}]')
            assert json.loads((await raw.read()).removeprefix("435"))[0]["code"] == ErrorCode.UNKNOWN_COMMAND

    async def test_refuses_the_sixth_socket_of_a_person(self, node: RunningNode) -> None:
        for _ in range(5):
            await node.client().connect(1)
        refusal = await node.client().refused({"token": make_token(1)})
        assert refusal["data"]["code"] == ErrorCode.TOO_MANY_SOCKETS
        await node.client().connect(2)

    async def test_works_by_polling_and_by_upgrading(self, node: RunningNode, backend: StandIn) -> None:
        for user_id, transport in ((1, "polling"), (2, "polling,websocket")):
            client = await node.client().connect(user_id, transport=transport)
            await node.hearing(f"user:{user_id}")
            for n in range(20):
                await backend.emit(f"user:{user_id}", n=n)
            await until(lambda client=client, user_id=user_id: len(client.numbers(f"user:{user_id}")) == 20)  # type: ignore[misc]
            assert client.numbers(f"user:{user_id}") == list(range(1, 21))
            assert await client.call("ping") == {"ok": True}
            assert client.socket.transport() == transport.split(",")[-1]

    async def test_lets_only_known_origins_in(self, world: World) -> None:
        node = await world.node(cors_allowed_origins=("https://app.example",))
        url = f"{node.url}/socket.io/?EIO=4&transport=polling"
        for origin, status in (("https://app.example", 200), ("https://evil.example", 400)):
            async with world.http.get(url, headers={"Origin": origin}) as response:
                assert response.status == status

    async def test_forgets_everything_of_a_socket_that_is_gone(self, node: RunningNode) -> None:
        client = await node.client().connect(1)
        await client.socket.disconnect()
        await until(lambda: not node.node.sockets.eio.sockets)
        hub, manager = node.node.hub, node.node.sockets.manager
        assert (len(hub), len(node.node.clients), node.node.clients.person(1)) == (0, 0, None)
        assert (node.node.sockets.environ, manager.rooms, manager.pending_connect) == ({}, {}, {})


class TestClientAddress:
    @pytest.mark.parametrize(
        ("trusted", "header", "expected"),
        [
            ((), "9.9.9.9", "127.0.0.1"),
            (("127.0.0.0/8",), "9.9.9.9", "9.9.9.9"),
            (("127.0.0.0/8",), "6.6.6.6, 9.9.9.9", "9.9.9.9"),
            (("127.0.0.0/8", "10.0.0.0/8"), "6.6.6.6, 9.9.9.9, 10.1.1.1", "9.9.9.9"),
            (("127.0.0.0/8",), "rubbish", "127.0.0.1"),
        ],
    )
    async def test_is_the_last_hop_that_is_no_proxy(
        self, world: World, trusted: tuple[str, ...], header: str, expected: str
    ) -> None:
        node = await world.node(trusted_proxies=trusted)
        client = node.client()
        await client.socket.connect(
            node.url, auth={"token": make_token(1)}, transports=["websocket"], headers={"X-Forwarded-For": header}
        )
        await client.wait_for("ready")
        assert [made.connection.address for made in node.node.clients] == [expected]
