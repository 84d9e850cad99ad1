"""What works while Redis is not itself: everything, somewhat slower (RELIABILITY.md O4)."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

import pytest

from tests.faults import faults
from tests.faults.harness import PLACES, Field, Run
from tests.faults.person import Person

PLACE = PLACES[1]
ENOUGH_SECONDS = 2.5
"""Each use of Redis gives up after two tenths, and then leaves it alone for a second; the rest is a busy machine."""

EXPECTED = {
    "login": 200,
    "refresh": 200,
    "request": 201,
    "accept": 200,
    "chat": 201,
    "chat over the socket": 201,
    "location": 204,
}

OFFERS = "SELECT status FROM dispatch_offer WHERE assistance_id = %s AND assistant_id = %s"


@contextmanager
def stopped(field: Field) -> Iterator[None]:
    keeper = field.keeper("redis")
    keeper.hold(kill=True)
    yield
    keeper.release()


@contextmanager
def deaf(field: Field) -> Iterator[None]:
    """It takes connections and what is sent, and says nothing."""
    over = Event()
    yield from _meanwhile(over, lambda: faults.freeze("redis", 0, until=over).strike(field))


@contextmanager
def slow(field: Field) -> Iterator[None]:
    over = Event()

    def strike() -> None:
        while not over.is_set():
            faults.slow_redis(0.5, latency=0.5).strike(field)

    yield from _meanwhile(over, strike)


@contextmanager
def emptied(field: Field) -> Iterator[None]:
    """Again and again."""
    over = Event()

    def strike() -> None:
        while not over.wait(0.05):
            faults.empty_redis().strike(field)

    yield from _meanwhile(over, strike)


def _meanwhile(over: Event, work: Callable[[], None]) -> Iterator[None]:
    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


STATES = {state.__name__: state for state in (stopped, emptied, slow, deaf)}


@dataclass
class Seen:
    """What one state of Redis made of every feature: the status and the seconds it took."""

    statuses: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    async def note(self, feature: str, asking: Any) -> Any:
        began = time.monotonic()
        status, answer = await asking
        self.statuses[feature], self.seconds[feature] = status, time.monotonic() - began
        return answer


@pytest.fixture(scope="module", params=STATES)
def seen(platform: Field, request: pytest.FixtureRequest) -> Seen:
    """Every feature, used once in this state of Redis."""
    return asyncio.run(_use_everything(platform, STATES[request.param]))


async def _use_everything(field: Field, state: Any) -> Seen:
    seen = Seen()
    async with Run(field) as run:
        client, stranger = await run.gather("client", 2, PLACE)
        [assistant] = await run.gather("assistant", 1, PLACE)
        await run.connect([assistant])
        email = f"{secrets.token_hex(6)}@matrix.example"
        account = {"roles": ["client"], "name": "Somebody", "email": email, "password": "a long passphrase"}
        assert (await stranger.try_once("POST", "/auth/register/", account))[0] == 201
        with_state = state(field)
        await asyncio.to_thread(with_state.__enter__)
        try:
            await _use(seen, client, assistant, stranger, email)
        finally:
            await asyncio.to_thread(with_state.__exit__, None, None, None)
            faults.wait_for_redis(field)
        job = seen.facts["job"]
        seen.facts["offers"] = run.checker.rows(OFFERS, job, assistant.id)
        await client.call("POST", f"/assistance/{job}/status/", {"status": "canceled"})
        await run.checker.judge(run.people)
        assert not run.history.broken, run.history.told()
    return seen


async def _use(seen: Seen, client: Person, assistant: Person, stranger: Person, email: str) -> None:
    identifier = {"identifier": email, "password": "a long passphrase"}
    tokens = await seen.note("login", stranger.try_once("POST", "/auth/login/", identifier))
    renewed = {"refresh": tokens.get("refresh", "none")}
    await seen.note("refresh", stranger.try_once("POST", "/auth/token/refresh/", renewed))
    pickup = {"lat": PLACE[0], "lng": PLACE[1]}
    wanted = {"pickup": pickup, "service_type": "towing"}
    asked = await seen.note("request", client.try_once("POST", "/assistance/", wanted))
    job = seen.facts["job"] = asked["assistance"]["id"]
    taken = await seen.note("accept", assistant.try_once("POST", f"/assistance/{job}/accept/"))
    seen.facts["taken"] = taken["status"], taken["assistant"]["id"] == assistant.id
    words = {"content": "On my way.", "client_id": "1"}
    said = await seen.note("chat", assistant.try_once("POST", f"/assistance/{job}/messages/", words))

    async def speak() -> tuple[int, Any]:
        answer = await assistant.command("message.send", assistance_id=job, content="Nearly there.", client_id="2")
        return (201 if answer["ok"] else 503), answer

    await seen.note("chat over the socket", speak())
    _, page = await client.try_once("GET", f"/conversations/{said['conversation_id']}/messages/?order=oldest")
    seen.facts["read"] = [message["content"] for message in page["results"]]
    await seen.note("location", assistant.try_once("POST", "/me/location/", pickup))


class TestWithoutRedis:
    @pytest.mark.parametrize("feature", EXPECTED)
    def test_it_works(self, seen: Seen, feature: str) -> None:
        """Seen red when a request waits for Redis as long as Redis likes."""
        assert seen.statuses[feature] == EXPECTED[feature]
        assert seen.seconds[feature] < ENOUGH_SECONDS

    def test_what_was_done_is_there(self, seen: Seen) -> None:
        assert seen.facts["taken"] == ("accepted", True)
        assert seen.facts["read"] == ["The assistant is on the way.", "On my way.", "Nearly there."]
        assert seen.facts["offers"] == [("accepted",)]
