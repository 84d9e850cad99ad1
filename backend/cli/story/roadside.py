"""The story: a stranded client, five assistants of whom three are near, one job from the request to its rating."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import aiohttp

from backend.cli.demo_accounts import MANAGER, PASSWORD, SAMPLE_PDF
from backend.cli.story.phone import Phone, StoryFailed
from backend.cli.story.telling import MoveClock, Step, Story, Tell

# In Oran; the demo data live in Algiers, too far away to be asked.
PICKUP = {"lat": 35.6971, "lng": -0.6308}
DROPOFF = {"lat": 35.6695, "lng": -0.5070}
PLACES = {
    "Amel": {"lat": 35.7033, "lng": -0.6346},
    "Bachir": {"lat": 35.6853, "lng": -0.6096},
    "Chafia": {"lat": 35.7133, "lng": -0.6596},
    "Djamel": {"lat": 35.6323, "lng": -0.5996},
    "Elias": {"lat": 35.4133, "lng": -0.8596},
}
"""Amel 0.8 km, Bachir 2.3 km and Chafia 3.1 km away; Djamel 7.7 km, in the second ring; Elias 37 km, in none."""
NEAR = ("Amel", "Bachir", "Chafia")


class Roadside(Story):
    """Plays the job."""

    def __init__(self, *, api_url: str, realtime_url: str, tell: Tell, move_clock: MoveClock) -> None:
        super().__init__(api_url=api_url, realtime_url=realtime_url, tell=tell)
        self.move_clock = move_clock
        self.client: Phone
        self.assistants: dict[str, Phone] = {}

    async def play(self) -> None:
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15), cookie_jar=aiohttp.DummyCookieJar())
            )
            try:
                await self._sign_up(http)
                await self._show_licences(http)
                await self._go_on_duty()
                assistance = await self._ask()
                await self._accept(assistance)
                await self._talk(assistance)
                await self._drive(assistance)
                await self._lose_the_connection(assistance)
                await self._finish(assistance)
                await self._nobody_answers()
            finally:
                await asyncio.gather(*(phone.disconnect() for phone in self._phones()))

    def _phones(self) -> list[Phone]:
        return [phone for phone in (getattr(self, "client", None), *self.assistants.values()) if phone]

    async def _sign_up(self, http: aiohttp.ClientSession) -> None:
        started, mark = time.perf_counter(), secrets.token_hex(3)

        def person(name: str, **fields: Any) -> Awaitable[Phone]:
            email = f"{name.lower()}.{mark}@example.org"
            base = {"name": f"{name} Demo", "email": email, "password": secrets.token_urlsafe(16)}
            return Phone.sign_up(http, self.api_url, self.realtime_url, {**base, **fields})

        self.client = await person("Nadia", roles=["client"])
        for name in PLACES:
            self.assistants[name] = await person(
                name,
                roles=["assistant"],
                service_type="towing",
                vehicle_type="Tow truck",
                vehicle_class="light",
                driving_license={"category": "b", "number": f"DZ-{mark}-{name}", "expires_on": "2039-12-31"},
                vehicle_registration_number=f"{name[:3].upper()}-116-16",
            )
        self._told("Nadia and five assistants signed up", started)

    async def _show_licences(self, http: aiohttp.ClientSession) -> None:
        started, (_, email, name) = time.perf_counter(), MANAGER
        manager = await Phone.sign_in(http, self.api_url, self.realtime_url, name=name, email=email, password=PASSWORD)
        shown = await asyncio.gather(
            *(
                phone.send_file("/documents/", SAMPLE_PDF, type="driving_license", expires_on="2039-12-31")
                for phone in self.assistants.values()
            )
        )
        for document in shown:
            address = f"/documents/{document['id']}/"
            seen = await manager.call("GET", address)
            self._expect(seen["status"] == "pending", f"a new document is pending: {seen}")
            await manager.call("POST", f"{address}review/", {"decision": "approve"})
        self._told(f"Five driving licences are shown; {name.partition(' ')[0]}, a manager, approves them", started)

    async def _go_on_duty(self) -> None:
        started = time.perf_counter()
        await asyncio.gather(*(phone.connect() for phone in self._phones()))
        for name, phone in self.assistants.items():
            await phone.call("POST", "/me/assistant/status/", {"is_active": True})
            await self._report_position(phone, PLACES[name])
        await self._until_on_the_map()
        self._told("Six sockets are open, five assistants on duty and on the map", started)

    async def _report_position(self, phone: Phone, place: dict[str, float]) -> None:
        """Duty reaches the sidecar as an event: a report may come a moment before it."""
        for _ in range(50):
            answer = await phone.command("location.update", **place)
            if answer["ok"]:
                return
            await asyncio.sleep(0.1)
        raise StoryFailed(f"{phone.name}'s position is refused: {answer}")

    async def _until_on_the_map(self) -> None:
        names = {f"{name} Demo" for name in PLACES}
        address = f"/assistants/?near={PICKUP['lat']},{PICKUP['lng']}&radius_km=60&page_size=100"
        for _ in range(50):
            found = await self.client.call("GET", address)
            if names <= {row["assistant"]["name"] for row in found["results"]}:
                return
            await asyncio.sleep(0.1)
        raise StoryFailed("the assistants' positions did not reach the map")

    async def _ask(self) -> dict[str, Any]:
        started = time.perf_counter()
        quote = await self.client.call(
            "POST",
            "/assistance/quote/",
            {"service_type": "towing", "pickup": PICKUP, "dropoff": DROPOFF},
            expect=201,
        )
        price = quote["price"]
        self._told(f"Nadia is quoted {price['amount']} {price['currency']} for {quote['distance_km']} km", started)
        started = time.perf_counter()
        answer = await self.client.call(
            "POST",
            "/assistance/",
            {
                "service_type": "towing",
                "pickup": PICKUP,
                "dropoff": DROPOFF,
                "vehicle_type": "Renault Symbol",
                "note": "Left lane, hazard lights on.",
                "quote_id": quote["id"],
            },
            expect=201,
        )
        assistance: dict[str, Any] = answer["assistance"]
        offers = await asyncio.gather(
            *(self.assistants[name].wait_for("assistance.offered", self._about(assistance)) for name in NEAR)
        )
        nearby = [self._name_of(row["assistant_id"]) for row in answer["nearby_assistants"]]
        self._expect(nearby == list(NEAR), f"the nearest are {nearby}")
        for name in ("Djamel", "Elias"):
            self._expect(self.assistants[name].count("assistance.offered") == 0, f"{name} is too far to be asked")
        self._told(
            "Nadia asks for a tow truck; the three nearest are asked", started, dict(zip(NEAR, offers, strict=True))
        )
        assistance["quoted"] = price
        return assistance

    async def _accept(self, assistance: dict[str, Any]) -> None:
        id_ = assistance["id"]
        joined = await self.client.join(f"assistance:{id_}")
        self._expect(joined["ok"], "Nadia follows her request")
        declined = await self.assistants["Chafia"].command("assistance.decline", id=id_)
        self._expect(declined["ok"], f"Chafia declines: {declined}")
        started = time.perf_counter()
        first, second = await asyncio.gather(
            self.assistants["Amel"].command("assistance.accept", id=id_),
            self.assistants["Bachir"].command("assistance.accept", id=id_),
        )
        winners = [name for name, answer in (("Amel", first), ("Bachir", second)) if answer["ok"]]
        losers = [answer["code"] for answer in (first, second) if not answer["ok"]]
        self._expect(len(winners) == 1 and losers == ["already_accepted"], f"exactly one wins: {first}, {second}")
        self.winner = self.assistants[winners[0]]
        self.loser = self.assistants["Bachir" if winners[0] == "Amel" else "Amel"]
        accepted = await self.client.wait_for("assistance.status", lambda data: data["status"] == "accepted")
        withdrawn = await self.loser.wait_for("assistance.withdrawn", self._about(assistance))
        self._expect(accepted.data["assistant"]["id"] == self.winner.id, "Nadia sees who comes")
        self._told(
            f"Amel and Bachir accept at once; {winners[0]} wins, the other gets already_accepted",
            started,
            {"Nadia": accepted, self._short(self.loser): withdrawn},
        )
        assistance["conversation_id"] = accepted.data["conversation_id"]
        refused = await self.assistants["Elias"].command("join", room=f"assistance:{id_}")
        self._expect(refused == {**refused, "ok": False, "code": "not_found"}, "a stranger may not listen")
        await self.winner.join(f"assistance:{id_}")
        for phone in (self.client, self.winner):
            await phone.join(f"conversation:{assistance['conversation_id']}")

    async def _talk(self, assistance: dict[str, Any]) -> None:
        talk = (
            (self.client, self.winner, "I stand right behind the tunnel."),
            (self.winner, self.client, "أنا في الطريق، خمس دقائق 🚚"),
        )
        for speaker, listener, text in talk:
            started, client_id = time.perf_counter(), secrets.token_hex(8)
            for _ in range(2):
                sent = await speaker.command(
                    "message.send", assistance_id=assistance["id"], content=text, client_id=client_id
                )
                self._expect(sent["ok"], f"{speaker.name} says something: {sent}")
            heard = await listener.wait_for("message.created", saying(text))
            self._told(
                f"{self._short(speaker)}: “{text}” (sent twice, stored once)", started, {self._short(listener): heard}
            )
        messages = await self.client.call("GET", f"/assistance/{assistance['id']}/messages/")
        self._expect(
            [row["content"] for row in messages["results"] if row["sender"]] == [talk[1][2], talk[0][2]],
            "two messages are stored",
        )

    async def _drive(self, assistance: dict[str, Any]) -> None:
        await self._set_status(assistance, "ongoing", "has arrived and starts", self.winner)
        start, times = PLACES[self._short(self.winner)], []
        for leg in range(1, 6):
            place = {axis: round(start[axis] + (PICKUP[axis] - start[axis]) * leg / 5, 6) for axis in ("lat", "lng")}
            started = time.perf_counter()
            await self._report_position(self.winner, place)
            heard = await self.client.wait_for("assistance.location", at_latitude(place["lat"]))
            times.append((heard.at - started) * 1000)
            await asyncio.sleep(0.5)
        step = Step("Nadia follows five live positions on her map", [f"Nadia after {sorted(times)[2]:.1f} ms (median)"])
        self.tell(step)

    async def _lose_the_connection(self, assistance: dict[str, Any]) -> None:
        started = time.perf_counter()
        await self.client.disconnect()
        words = ["Are you there?", "I load your car now.", "Done."]
        for text in words:
            await self.winner.command(
                "message.send", assistance_id=assistance["id"], content=text, client_id=secrets.token_hex(8)
            )
        await self.client.connect()
        for room in (f"assistance:{assistance['id']}", f"conversation:{assistance['conversation_id']}"):
            await self.client.join(room)
        missed = [event.data["message"]["content"] for event in self.client.heard if event.type == "message.created"]
        self._expect(missed[-3:] == words, f"Nadia gets what she missed, in order: {missed}")
        self._expect(len(missed) == len(set(missed)), f"and nothing twice: {missed}")
        self._told("Nadia's connection drops; back again, she gets the three messages she missed, in order", started)

    async def _finish(self, assistance: dict[str, Any]) -> None:
        await self._set_status(assistance, "completed", "has finished", self.winner)
        done = await self.client.call("GET", f"/assistance/{assistance['id']}/")
        self._expect(done["total_price"] == assistance["quoted"], f"the quote's price holds: {done['total_price']}")
        started = time.perf_counter()
        rating = {"rating": 5, "comment": "Quick and careful."}
        await self.client.call("POST", f"/assistance/{assistance['id']}/rating/", rating, expect=201)
        again = await self.client.call("POST", f"/assistance/{assistance['id']}/rating/", rating, expect=409)
        self._expect(again["code"] == "already_rated", "a job is rated once")
        mine = await self.winner.call("GET", "/me/assistant/")
        self._expect(mine["average_rating"] == "5.00", f"the rating counts: {mine['average_rating']}")
        price = done["total_price"]
        title = f"Paid at the roadside: {price['amount']} {price['currency']}; Nadia gives five stars, once"
        self._told(title, started)

    async def _nobody_answers(self) -> None:
        started = time.perf_counter()
        answer = await self.client.call(
            "POST", "/assistance/", {"service_type": "towing", "pickup": PICKUP}, expect=201
        )
        assistance = answer["assistance"]
        djamel = self.assistants["Djamel"]
        self._expect(djamel.count("assistance.offered") == 0, "Djamel is outside the first ring")
        await self.move_clock(timedelta(seconds=21))
        heard = await djamel.wait_for("assistance.offered", self._about(assistance))
        self._told("Another request, nobody answers: 20 s on, the ring grows to 10 km", started, {"Djamel": heard})
        started = time.perf_counter()
        await self.client.call("POST", f"/assistance/{assistance['id']}/status/", {"status": "canceled"})
        withdrawn = await djamel.wait_for("assistance.withdrawn", self._about(assistance))
        self._told("Nadia cancels; the offers are withdrawn", started, {"Djamel": withdrawn})

    async def _set_status(self, assistance: dict[str, Any], status: str, words: str, by: Phone) -> None:
        started = time.perf_counter()
        await by.call("POST", f"/assistance/{assistance['id']}/status/", {"status": status})
        heard = await self.client.wait_for("assistance.status", lambda data: data["status"] == status)
        self._told(f"{self._short(by)} {words}: {status}", started, {"Nadia": heard})

    def _about(self, assistance: dict[str, Any]) -> Callable[[dict[str, Any]], bool]:
        return lambda data: bool(data["assistance_id"] == assistance["id"])

    def _name_of(self, user_id: int) -> str:
        return next((name for name, phone in self.assistants.items() if phone.id == user_id), f"user {user_id}")

    @staticmethod
    def _short(phone: Phone) -> str:
        return phone.name.removesuffix(" Demo")


def saying(text: str) -> Callable[[dict[str, Any]], bool]:
    return lambda data: bool(data["message"]["content"] == text)


def at_latitude(lat: float) -> Callable[[dict[str, Any]], bool]:
    return lambda data: bool(data["lat"] == lat)
