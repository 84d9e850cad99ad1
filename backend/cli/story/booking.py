"""The story of a booking: found in spite of a slip of the finger, the last free chair, confirmed, and reminded of."""

import asyncio
import secrets
import time
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import aiohttp
from socketio.exceptions import ConnectionError as ConnectionFailed

from backend.cli.demo_accounts import BARBER, PASSWORD
from backend.cli.story.phone import Phone, StoryFailed
from backend.cli.story.telling import MoveClock, Story, Tell

SEARCH = "haricut"
"""What Lina types; she means a haircut."""
NEAR = "36.7538,3.0588"
"""Where she stands: in the middle of the demo's town."""
_RIVALS = ("Omar", "Sara", "Yanis")


class Booked(Story):
    """Plays the booking at the demo's barbershop. The service that is booked is in `service` afterwards.

    Without `move_clock` nobody is reminded: that is a day or two later.
    """

    def __init__(self, *, api_url: str, realtime_url: str, tell: Tell, move_clock: MoveClock | None = None) -> None:
        super().__init__(api_url=api_url, realtime_url=realtime_url, tell=tell)
        self.move_clock = move_clock
        self.service: dict[str, Any] = {}

    async def play(self) -> None:
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15), cookie_jar=aiohttp.DummyCookieJar())
            )
            self.http, self.mark, self.phones = http, secrets.token_hex(3), list[Phone]()
            try:
                await self._come()
                slot = await self._search()
                booking = await self._book(slot)
                await self._confirm(booking)
                if self.move_clock is not None:
                    await self._remind(booking, self.move_clock)
            finally:
                await asyncio.gather(*(phone.disconnect() for phone in self.phones))

    def _email(self, name: str) -> str:
        return f"{name.lower()}.{self.mark}@example.org"

    async def _come(self) -> None:
        async def person(name: str) -> Phone:
            fields = {"roles": ["client"], "name": f"{name} Demo", "email": self._email(name), "password": PASSWORD}
            return await Phone.sign_up(self.http, self.api_url, self.realtime_url, fields)

        self.lina, *self.rivals = await asyncio.gather(*(person(name) for name in ("Lina", *_RIVALS)))
        self.karim = await Phone.sign_in(
            self.http, self.api_url, self.realtime_url, name=BARBER[2], email=BARBER[1], password=PASSWORD
        )
        self.phones += [self.lina, self.karim]
        await asyncio.gather(self.lina.connect(), self.karim.connect())

    async def _search(self) -> dict[str, Any]:
        started = time.perf_counter()
        found = await self.lina.call("GET", f"/services/?search={SEARCH}&near={NEAR}&page_size=100")
        theirs = [one for one in found["results"] if one["provider"]["name"] == BARBER[4]]
        self._expect(len(theirs) > 0, f"{BARBER[4]} is found by “{SEARCH}”")
        self.service = theirs[0]
        price = self.service["price"]
        self._told(
            f"Lina types “{SEARCH}” and finds {found['count']} services near her; {BARBER[4]}:"
            f" “{self.service['title']}”, {price['amount']} {price['currency']}",
            started,
        )
        started = time.perf_counter()
        provider = self.service["provider"]["id"]
        free = await self.lina.call("GET", f"/providers/{provider}/slots/?service={self.service['id']}")
        slots: list[dict[str, Any]] = [slot for slot in free["slots"] if len(slot["resources"]) == len(_RIVALS)]
        # One is far enough ahead for both reminders.
        slot = slots[-1]
        self._told(f"{len(free['slots'])} free times within a week; she takes {slot['starts_at']}", started)
        return slot

    async def _book(self, slot: dict[str, Any]) -> dict[str, Any]:
        wanted = {"service": self.service["id"], "starts_at": slot["starts_at"]}
        rest = [phone.call("POST", "/bookings/", wanted, expect=201) for phone in self.rivals[:2]]
        others = await asyncio.gather(*rest)
        started = time.perf_counter()
        booking: dict[str, Any] = await self.lina.call("POST", "/bookings/", wanted, expect=201)
        heard = await self.karim.wait_for("booking.updated", lambda data: bool(data["booking_id"] == booking["id"]))
        chairs = {one["resource"]["id"] for one in (booking, *others)}
        self._expect(len(chairs) == len(_RIVALS), f"everybody has a chair of their own: {chairs}")
        title = f"{len(_RIVALS)} people book that time: each gets a chair of their own; Lina's is requested"
        self._told(title, started, {"Karim": heard})
        started = time.perf_counter()
        refused = await self.rivals[2].call("POST", "/bookings/", wanted, expect=409)
        self._expect(refused["code"] == "slot_taken", f"the time is taken: {refused}")
        self._told("One more wants the same time: slot_taken", started)
        return booking

    async def _confirm(self, booking: dict[str, Any]) -> None:
        started = time.perf_counter()
        await self.karim.call("POST", f"/bookings/{booking['id']}/confirm/")
        heard = await self.lina.wait_for("booking.updated", lambda data: bool(data["what"] == "confirmed"))
        preview = await self.lina.call("GET", f"/bookings/{booking['id']}/cancellation-preview/")
        self._expect(preview["cancel"]["allowed"], f"she may still cancel: {preview}")
        fee = preview["cancel"]["fee"]
        self._told(
            f"Karim confirms; cancelling would cost her {fee['amount']} {fee['currency']} now", started, {"Lina": heard}
        )

    async def _remind(self, booking: dict[str, Any], move_clock: MoveClock) -> None:
        starts_at, made_at = (datetime.fromisoformat(booking[name]) for name in ("starts_at", "created_at"))
        await self.lina.disconnect()
        started = time.perf_counter()
        await move_clock(starts_at - made_at - timedelta(minutes=59))
        lina = await self._sign_in_again()
        self.phones.append(lina)
        heard = await lina.wait_for("booking.reminder", lambda data: bool(data["lead"] == "hour"))
        self._expect(heard.data["booking_id"] == booking["id"], f"of this booking: {heard.data}")
        self._told("The clock goes on to an hour before: both are reminded", started, {"Lina": heard})

    async def _sign_in_again(self) -> Phone:
        """Her token was for a quarter of an hour; and every process learns of the moved clock in its turn."""
        for _ in range(50):
            try:
                lina = await Phone.sign_in(
                    self.http,
                    self.api_url,
                    self.realtime_url,
                    name=self.lina.name,
                    email=self._email("Lina"),
                    password=PASSWORD,
                )
                lina.cursors = self.lina.cursors
                await lina.connect()
            except (StoryFailed, ConnectionFailed):
                await asyncio.sleep(0.1)
            else:
                return lina
        raise StoryFailed("Lina cannot sign in again")
