"""The promise that matters most: however many accept a job at once, exactly one of them has it."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import aiohttp

from backend.cli.story.phone import Phone
from tests.support.stack import MOST_OFFERS, Platform

PICKUP = {"lat": 36.3650, "lng": 6.6147}
"""In Constantine: nobody else of the suite is there."""

WANTED = {"service_type": "towing", "pickup": PICKUP}


class Crowd:
    """A client, and as many assistants on duty near by as one wave can ask."""

    def __init__(self, stack: Platform, http: aiohttp.ClientSession) -> None:
        self.stack, self.http = stack, http
        self.client: Phone
        self.assistants: list[Phone] = []

    async def gather(self) -> None:
        self.client = await self._person("Salim Brahimi", roles=["client"])
        self.assistants = await asyncio.gather(*(self._assistant(number) for number in range(MOST_OFFERS)))
        await self._until_on_the_map()

    async def _person(self, name: str, **fields: Any) -> Phone:
        email = f"{name.lower().replace(' ', '.')}@crowd.example"
        base = {"name": name, "email": email, "password": "a long passphrase", **fields}
        return await Phone.sign_up(self.http, self.stack.url("backend"), self.stack.url("realtime"), base)

    async def _assistant(self, number: int) -> Phone:
        phone = await self._person(
            f"Helper {number}",
            roles=["assistant"],
            service_type="towing",
            vehicle_type="Tow truck",
            vehicle_class="light",
            driving_license={"category": "b", "number": f"C-{number}", "expires_on": "2039-12-31"},
            vehicle_registration_number=f"{number:05}-116-25",
        )
        await phone.call("POST", "/me/assistant/status/", {"is_active": True})
        await phone.call("POST", "/me/location/", {**PICKUP, "lat": PICKUP["lat"] + number / 5000}, expect=204)
        return phone

    async def _until_on_the_map(self) -> None:
        address = f"/assistants/?near={PICKUP['lat']},{PICKUP['lng']}&radius_km=5"
        async with asyncio.timeout(10):
            while (await self.client.call("GET", address))["count"] < MOST_OFFERS:
                await asyncio.sleep(0.1)

    async def accept(self, phone: Phone, assistance_id: int) -> tuple[int, Any]:
        url = f"{self.stack.url('backend')}/api/v1/assistance/{assistance_id}/accept/"
        async with self.http.post(url, headers={"Authorization": f"Bearer {phone.access}"}) as answer:
            return answer.status, await answer.json(content_type=None)


class TestAcceptAssistance:
    def test_exactly_one_of_fifty_wins(self, stack: Platform) -> None:
        asyncio.run(self._race(stack))

    async def _race(self, stack: Platform) -> None:
        async with AsyncExitStack() as opened:
            http = await opened.enter_async_context(
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar())
            )
            crowd = Crowd(stack, http)
            await crowd.gather()
            asked = await crowd.client.call("POST", "/assistance/", WANTED, expect=201)
            assert len(asked["nearby_assistants"]) == MOST_OFFERS
            job = asked["assistance"]["id"]

            answers = await asyncio.gather(*(crowd.accept(phone, job) for phone in crowd.assistants))

            outcomes = Counter((status, body.get("code")) for status, body in answers)
            assert outcomes == {(200, None): 1, (409, "already_accepted"): MOST_OFFERS - 1}
            [(winner, won)] = [
                (phone.id, body)
                for phone, (status, body) in zip(crowd.assistants, answers, strict=True)
                if status == 200
            ]
            assert (won["status"], won["version"], won["assistant"]["id"]) == ("accepted", 2, winner)
            assert await crowd.client.call("GET", f"/assistance/{job}/") == {**won, "offer": None}
        self._check_what_was_written(stack, job, winner)

    @staticmethod
    def _check_what_was_written(stack: Platform, job: int, winner: int) -> None:
        """One of everything, and nothing of the losers but that their offers are withdrawn."""
        offers = stack.rows(
            "SELECT status, count(*), min(assistant_id) FILTER (WHERE status = 'accepted') FROM dispatch_offer "
            "WHERE assistance_id = %s GROUP BY status ORDER BY status",
            job,
        )
        assert offers == [("accepted", 1, winner), ("withdrawn", MOST_OFFERS - 1, None)]
        reference = f"assistance:{job}"
        changes = stack.rows(
            "SELECT to_status, count(*) FROM core_state_change WHERE reference = %s GROUP BY 1 ORDER BY 1", reference
        )
        assert changes == [("accepted", 1), ("requested", 1)]
        [(conversations, members)] = stack.rows(
            "SELECT count(DISTINCT c.id), count(m.id) FROM messaging_conversation c "
            "JOIN messaging_member m ON m.conversation_id = c.id WHERE c.subject = %s",
            reference,
        )
        assert (conversations, members) == (1, 2)
        told = stack.rows("SELECT type, count(*) FROM core_event WHERE room = %s GROUP BY 1 ORDER BY 1", reference)
        assert told == [("assistance.status", 2), ("member.added", 2)]
        withdrawn = stack.rows(
            "SELECT count(*), count(DISTINCT room) FROM core_event WHERE type = 'assistance.withdrawn' "
            "AND (data::jsonb ->> 'assistance_id')::bigint = %s",
            job,
        )
        assert withdrawn == [(MOST_OFFERS - 1, MOST_OFFERS - 1)]
