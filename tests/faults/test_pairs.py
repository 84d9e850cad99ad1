"""Of each process there are two, and one of each pair is killed."""

import asyncio

from tests.faults import faults
from tests.faults.harness import Field, Run
from tests.faults.person import Person
from tests.faults.test_machines import play_under


async def _talk_at_once(run: Run) -> None:
    """Eight people in one conversation, each saying fifteen things as fast as they can."""
    people = await run.gather("client", 8)
    await run.connect(people)
    talk = await run.inside("talk", user_ids=[person.id for person in people], title="Everybody")
    assert all(await asyncio.gather(*(person.join(f"conversation:{talk}") for person in people)))

    async def speak(person: Person) -> None:
        for number in range(15):
            await person.call(
                "POST", f"/conversations/{talk}/messages/", {"content": f"{number}", "client_id": f"{number}"}
            )

    await asyncio.gather(*(speak(person) for person in people))


class TestPairs:
    def test_one_of_each_pair_may_be_killed(self, pairs: Field) -> None:
        """R2, R3, T2, D5: two relays number, also one room in which everybody talks at once."""

        async def play() -> None:
            async with Run(pairs) as run:
                killed = [faults.kill(name) for name in ("relay", "worker-2", "backend-2", "realtime")]
                await play_under(run, killed, jobs=30, meanwhile=[_talk_at_once])

        asyncio.run(play())
