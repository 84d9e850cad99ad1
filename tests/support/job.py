"""A roadside job on the running platform, made through the public API: a client, their assistant, a conversation."""

import asyncio
import secrets
from dataclasses import dataclass
from typing import Any

import aiohttp

from backend.cli.demo_accounts import MANAGER, PASSWORD
from backend.cli.story.phone import Phone
from tests.support.stack import Platform


@dataclass(frozen=True)
class AcceptedJob:
    """The job's ids, and the access tokens of its client, its assistant and a manager."""

    id: int
    conversation_id: int
    tokens: dict[str, str]


def accepted_job(stack: Platform) -> AcceptedJob:
    """People who sign up, and a job of theirs that is under way."""
    return asyncio.run(_make(stack))


async def _make(stack: Platform) -> AcceptedJob:
    mark = secrets.token_hex(4)
    place = {"lat": 22.7 + secrets.randbelow(10**5) / 10**5, "lng": 5.5}  # in the far south, where nobody else is
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:

        async def person(**fields: Any) -> Phone:
            base = {"name": "Somebody", "password": "a long passphrase"}
            return await Phone.sign_up(http, stack.url("backend"), stack.url("realtime"), {**base, **fields})

        client = await person(roles=["client"], email=f"client.{mark}@job.example")
        assistant = await person(
            roles=["assistant"],
            email=f"assistant.{mark}@job.example",
            service_type="towing",
            vehicle_type="Tow truck",
            driving_license={"category": "c", "number": f"J-{mark}", "expires_on": "2039-12-31"},
            vehicle_registration_number="1-116-11",
        )
        manager = Phone(http, stack.url("backend"), stack.url("realtime"), MANAGER[2])
        signed_in = await manager.call("POST", "/auth/login/", {"identifier": MANAGER[1], "password": PASSWORD})
        await assistant.call("POST", "/me/assistant/status/", {"is_active": True})
        await assistant.call("POST", "/me/location/", place, expect=204)
        async with asyncio.timeout(10):
            while not (await assistant.call("GET", "/me/assistant/"))["on_the_map"]:
                await asyncio.sleep(0.1)
        asked = await client.call("POST", "/assistance/", {"service_type": "towing", "pickup": place}, expect=201)
        job = await assistant.call("POST", f"/assistance/{asked['assistance']['id']}/accept/")
    tokens = {"client": client.access, "assistant": assistant.access, "manager": signed_in["access"]}
    return AcceptedJob(job["id"], job["conversation_id"], tokens)
