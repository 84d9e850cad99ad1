"""Two hundred assistants accept one job at once: through two backends and two sidecars, over REST and the socket."""

import asyncio
import time
from collections import Counter
from typing import Any

from tests.faults.harness import PLACES, Field, Run
from tests.faults.person import Person

CROWD = 200
ROUNDS = 20
COUNTS = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
WRITTEN = {
    "core_state_change": 1,
    "messaging_conversation": 1,
    "messaging_member": 2,
    "messaging_message": 1,
    "notifications_notification": 1,
    # member.added in the job's room and twice in the conversation's, what the platform says there and in both lists,
    # the news of the status in the job's and the winner's room, a withdrawal for everybody else, and what the client
    # is told of it
    "core_event": 1 + 2 + 1 + 2 + 2 + CROWD - 1 + 1,
}
"""The rows that an acceptance adds, with the jobs it wrote; no other table may grow or shrink."""
CLOCKWORK = {"core_job", "core_timer", "core_room_head", "dispatch_wave", "notifications_inbox"}
"""What timers and the relay write meanwhile, and the counter that a person's first notification makes."""


class TestAcceptAssistance:
    def test_one_of_200_wins_in_every_round(self, pairs: Field) -> None:
        """D1, D2, D3. Red with: an accept that neither locks the job nor updates on a condition."""
        asyncio.run(_alone(pairs))


async def _alone(field: Field) -> None:
    async with Run(field) as run:
        assert len(await race(run, rounds=ROUNDS)) == ROUNDS


async def race(run: Run, *, rounds: int, place: tuple[float, float] = PLACES[4]) -> list[int]:
    """So many times a crowd accepts one job; the winners' ids."""
    [client] = await run.gather("client", 1, place)
    crowd = await run.gather("assistant", CROWD, place)
    await run.connect([client, *crowd[::2]])
    wanted = {"pickup": {"lat": place[0], "lng": place[1]}, "service_type": "towing"}
    winners = [await _round(run, client, crowd, wanted) for _ in range(rounds)]
    await run.hold()
    return winners


async def _round(run: Run, client: Person, crowd: list[Person], wanted: dict[str, Any]) -> int:
    _, asked = await client.call("POST", "/assistance/", wanted)
    assert len(asked["nearby_assistants"]) == CROWD
    job = asked["assistance"]["id"]
    await run.checker.settle()
    before = await asyncio.to_thread(_count, run)

    began = time.monotonic()
    answers = await asyncio.gather(*(_accept(person, job, place) for place, person in enumerate(crowd)))
    run.history.write("raced", seconds=time.monotonic() - began)

    assert Counter(code for code, _ in answers) == {"ok": 1, "already_accepted": CROWD - 1}
    [winner] = [person.id for person, (code, _) in zip(crowd, answers, strict=True) if code == "ok"]
    [won] = [answer for code, answer in answers if code == "ok"]
    assert (won["status"], won["version"], won["assistant"]["id"]) == ("accepted", 2, winner)
    await run.checker.settle()
    after = await asyncio.to_thread(_count, run)
    assert {table: after[table] - before[table] for table in after if after[table] != before[table]} == WRITTEN
    await client.call("POST", f"/assistance/{job}/status/", {"status": "canceled"})
    return winner


async def _accept(person: Person, job: int, place: int) -> tuple[str, Any]:
    """Every second one over the socket, the others over REST; the answer's code and content."""
    if place % 2 == 0:
        answer = await person.command("assistance.accept", id=job)
        return answer.get("code", "ok"), answer.get("assistance")
    status, answer = await person.try_once("POST", f"/assistance/{job}/accept/")
    return (answer["code"], None) if status == 409 else ("ok" if status == 200 else str(status), answer)


def _count(run: Run) -> dict[str, int]:
    """Rows by table, but for what the platform's own clockwork writes."""
    tables = [table for (table,) in run.checker.rows(COUNTS) if table not in CLOCKWORK]
    one = " UNION ALL ".join(f"SELECT '{table}', count(*) FROM {table}" for table in sorted(tables))
    return dict(run.checker.rows(one))
