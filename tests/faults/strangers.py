"""What strangers try for as long as they like: to learn who has an account, to have messages sent, to storm the door.

On a platform of its own with its limits on, over HTTP. The suite plays it in short, `./callout soak` in full.
"""

import asyncio
import random
import time
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.faults.harness import Field, Run
from tests.support.outside import HttpServer

SMS_A_DAY, SMS_A_COUNTRY = 300, 200
NUMBER_A_DAY, NETWORK_A_DAY = 5, 10
AUC = 0.55
"""Of known against unknown by time: 0.5 is a coin. Its standard error is 0.009 with 4,000 samples."""
STORM = 100
ASKED_A_SECOND = 50
"""By others in a storm."""

Answer = tuple[int, str, tuple[str, ...]]
"""Status, the content without its request id, names of headers."""


def settings(provider: HttpServer) -> dict[str, str]:
    """For a Field: limits as in production, and an SMS provider that counts."""
    return {
        "RATE_LIMITS": "true",
        "SMS_PER_DAY": str(SMS_A_DAY),
        "SMS_PER_PREFIX_PER_DAY": str(SMS_A_COUNTRY),
        "TWILIO_URL": provider.url,
        "TWILIO_ACCOUNT_SID": "AC1",
        "TWILIO_AUTH_TOKEN": "token",
        "TWILIO_NUMBER": "+15005550006",
    }


def network(number: int) -> str:
    """An address of its own, as a trusted proxy tells it."""
    return f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


class Door:
    """Where anybody may knock."""

    def __init__(self, run: Run) -> None:
        self._http, self._url = run.http, run.field.addresses("backend")[0]

    async def ask(self, path: str, body: Any, *, origin: str) -> tuple[Answer, float]:
        """The answer, and the seconds that it took."""
        headers = {"X-Forwarded-For": origin}
        began = time.perf_counter()
        async with self._http.post(f"{self._url}/api/v1{path}", json=body, headers=headers) as response:
            content = await response.json()
        took = time.perf_counter() - began
        content.pop("request_id", None)
        content.pop("instance", None)
        return (response.status, repr(sorted(content.items())), tuple(sorted(response.headers))), took


DISCOVERIES: dict[str, Callable[[str], Any]] = {
    "/auth/login/": lambda email: {"identifier": email, "password": "not the passphrase"},
    "/auth/password/reset/": lambda email: {"email": email},
    "/auth/email/verification/": lambda email: {"email": email},
}


@dataclass
class Discovery:
    """What was seen of those who have an account, and of those who have none."""

    answers: dict[bool, Counter[Answer]] = field(default_factory=lambda: defaultdict(Counter))
    seconds: dict[bool, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def auc(self) -> float:
        """How often a known one takes longer than an unknown one (Mann-Whitney's U over all pairs)."""
        unknown = sorted(self.seconds[False])
        wins = sum(bisect_left(unknown, one) + bisect_right(unknown, one) for one in self.seconds[True]) / 2
        return wins / (len(unknown) * len(self.seconds[True]))


async def discover(run: Run, path: str, *, samples: int, seed: int) -> Discovery:
    """Ask about known and unknown people in random order, each from a network of its own, one after the other."""
    door, found, rng = Door(run), Discovery(), random.Random(seed)
    people = [(known, number) for number in range(samples // 2) for known in (True, False)]
    rng.shuffle(people)
    for place, (known, number) in enumerate(people):
        email = f"{'k' if known else 'u'}{number:05}@strangers.example"
        answer, seconds = await door.ask(path, DISCOVERIES[path](email), origin=network(place))
        found.answers[known][answer] += 1
        found.seconds[known].append(seconds)
    return found


async def pump(run: Run, *, requests: int, people: int, networks: int, seed: int) -> tuple[Counter[int], Counter[str]]:
    """Have codes sent to these people's numbers; the answers' statuses, and from which network how many were taken."""
    door, rng = Door(run), random.Random(seed)
    statuses: Counter[int] = Counter()
    taken: Counter[str] = Counter()

    async def knock() -> None:
        number, origin = rng.randrange(people), network(rng.randrange(networks))
        path = rng.choice(("/auth/phone/verification/", "/auth/password/reset/"))
        phone = f"{('+21355', '+3360')[number % 2]}{number:07}"
        answer, _ = await door.ask(path, {"phone_number": phone}, origin=origin)
        statuses[answer[0]] += 1
        taken[origin] += answer[0] == 202

    await _many(knock, requests, at_once=16)
    return statuses, taken


async def storm(run: Run) -> list[float]:
    """A hundred sign in at once; the seconds that others wait meanwhile, in order.

    They ask at fixed times, whether the one before was answered or not, and wait from the time at which they were due.
    """
    [asker] = await run.gather("client", 1)
    door, clock = Door(run), asyncio.get_running_loop()
    body = DISCOVERIES["/auth/login/"]

    async def ask(due: float) -> float:
        status, _ = await asker.try_once("GET", "/me/")
        assert status == 200
        return clock.time() - due

    async def ask_until(over: asyncio.Future[Any]) -> list[float]:
        due, asked = clock.time(), []
        while not over.done():
            asked.append(asyncio.create_task(ask(due)))
            due += 1 / ASKED_A_SECOND
            await asyncio.sleep(due - clock.time())
        return await asyncio.gather(*asked)

    signing_in = asyncio.gather(
        *(
            door.ask("/auth/login/", body(f"k{number:05}@strangers.example"), origin=network(60_000 + number))
            for number in range(STORM)
        )
    )
    waits = await ask_until(signing_in)
    assert {answer[0] for answer, _ in await signing_in} == {401}
    return sorted(waits)


def late(waits: Sequence[float]) -> float:
    """The 95th percentile."""
    return waits[int(len(waits) * 0.95)]


async def _many(act: Callable[[], Awaitable[None]], times: int, *, at_once: int) -> None:
    left = iter(range(times))

    async def go_on() -> None:
        for _ in left:
            await act()

    await asyncio.gather(*(go_on() for _ in range(at_once)))


async def in_full(field: Field, provider: HttpServer, *, seed: int, say: Callable[[str], None]) -> int:
    """A4, A7 and L7 with their full numbers; how many were broken."""
    broken = 0

    def judge(name: str, *, holds: bool, found: object) -> None:
        nonlocal broken
        broken += not holds
        say(f"  {name:<46} {found}{'' if holds else '   BROKEN'}")

    async with Run(field, seed=seed) as run:
        await run.inside("strangers", count=3000)
        for asked in DISCOVERIES:
            found = await discover(run, asked, samples=4000, seed=seed)
            is_alike = found.answers[True] == found.answers[False]
            judge(f"A7 {asked}: answers differ", holds=is_alike, found="no" if is_alike else "yes")
            judge(f"A7 {asked}: AUC", holds=abs(found.auc - 0.5) <= AUC - 0.5, found=f"{found.auc:.3f}")
        before = len(provider.forms)
        statuses, taken = await pump(run, requests=10_000, people=400, networks=400, seed=seed)
        await run.checker.settle()
        sent = Counter(form["To"][0] for _, _, form in provider.forms[before:])
        judge("L7 statuses", holds=set(statuses) <= {202, 429}, found=dict(statuses))
        judge("L7 messages of 10,000 requests", holds=sent.total() == SMS_A_DAY, found=sent.total())
        judge("L7 most to one number", holds=max(sent.values()) <= NUMBER_A_DAY, found=max(sent.values()))
        judge("L7 most from one network", holds=max(taken.values()) <= NETWORK_A_DAY, found=max(taken.values()))
        waits = await storm(run)
        judge(
            "A4 others' p95 in a storm of 100 sign-ins", holds=late(waits) <= 0.5, found=f"{late(waits) * 1000:.0f} ms"
        )
    return broken
