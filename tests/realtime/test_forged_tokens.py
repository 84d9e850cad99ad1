"""A sidecar that holds public keys accepts our own access tokens only (RELIABILITY.md A1), and can make none.

Seen red with the bug planted: `typ` left unread let four of them in.
"""

import json
from typing import Any

import pytest

from realtime.environment import Environment
from shared_contracts.errors import ErrorCode
from tests.realtime.conftest import RunningNode, World
from tests.support.forgeries import ED_KID, HS_KID, PUBLIC, SECRET, TOKEN_KEYS, claims_of, forgeries, run_out, sign

KEYS: dict[str, Any] = {"token_keys": {HS_KID: SECRET}, "token_public_keys": {ED_KID: PUBLIC}}


@pytest.mark.asyncio
class TestForgedTokens:
    async def test_none_is_accepted_and_all_get_one_answer(self, world: World) -> None:
        node = await world.node(**KEYS)
        found = {what: await _refused(node, token) for what, token in forgeries(1, 10)}
        assert len(found) >= 30
        expected = found["no token"]
        assert json.loads(found.pop("of eight kilobytes").removeprefix("44"))["data"] == {
            "code": ErrorCode.INVALID_TOKEN  # it does not even have the shape of `auth`, and is told so
        }
        assert json.loads(expected.removeprefix("44"))["data"] == {"code": ErrorCode.INVALID_TOKEN}
        assert [what for what, answer in found.items() if answer != expected] == []
        assert (len(node.node.hub), world.backend.calls.count("joins")) == (0, 0)

    async def test_one_that_has_run_out_says_so_and_no_more(self, world: World) -> None:
        node = await world.node(**KEYS)
        answers = [await _refused(node, token) for _, token in run_out(1, 10)]
        assert [json.loads(answer.removeprefix("44"))["data"] for answer in answers] == [
            {"code": ErrorCode.TOKEN_EXPIRED}
        ] * 3

    async def test_the_genuine_one_is_accepted(self, world: World) -> None:
        node = await world.node(**KEYS)
        for user_id, kid in enumerate(TOKEN_KEYS, 1):
            await node.client().connect(auth={"token": sign(claims_of(user_id, user_id * 10), kid=kid)})


async def _refused(node: RunningNode, token: str) -> str:
    """The packet that refuses, to the byte."""
    raw = await node.raw()
    await raw.socket.send_str("40" + json.dumps({"token": token}))
    answer = await raw.read()
    await raw.socket.close()
    return answer


class TestKeysOfTheSidecar:
    def test_none_of_them_can_sign(self) -> None:
        settings = Environment(_env_file=None, token_keys={}, token_public_keys={ED_KID: PUBLIC})
        key = settings.verifying_keys()[ED_KID]
        assert key.signing is None
        with pytest.raises(ValueError, match="cannot sign"):
            key.for_signing()
