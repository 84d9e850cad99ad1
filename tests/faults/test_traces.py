"""Whatever a request caused can be found by its id, however many processes it went through."""

import asyncio

from tests.faults.harness import PLACES, Field, Run

PLACE = PLACES[2]
FARTHER = (PLACE[0] + 0.065, PLACE[1])
"""Seven kilometres to the north: the first wave goes five far, the second, which is a job, ten."""

CAUSED = """
    SELECT 'event ' || type, request_id FROM core_event WHERE room = ANY(%s)
    UNION SELECT 'job ' || name, request_id FROM core_job WHERE (arguments ->> 'assistance_id')::bigint = %s
"""


class TestRequestIds:
    def test_go_from_the_request_through_its_jobs_to_the_phone(self, field: Field) -> None:
        """O8. Seen red with a job that runs without its row's request id."""
        asyncio.run(self._follow(field))

    async def _follow(self, field: Field) -> None:
        async with Run(field) as run:
            [client] = await run.gather("client", 1, PLACE)
            [assistant] = await run.gather("assistant", 1, FARTHER)
            heard: dict[str, str] = {}
            assistant.on_event = lambda _room, envelope: heard.update({envelope["type"]: envelope["request_id"]})
            await run.connect([assistant])
            headers = {"Authorization": f"Bearer {client.access}", "X-Request-ID": "traced-1"}
            wanted = {"pickup": {"lat": PLACE[0], "lng": PLACE[1]}, "service_type": "towing"}
            async with run.http.post(f"{client.apis[0]}/api/v1/assistance/", json=wanted, headers=headers) as answer:
                assert answer.headers["X-Request-ID"] == "traced-1"
                job = (await answer.json())["assistance"]["id"]
            assert await assistant.until(lambda: "assistance.offered" in heard, 20)
            assert heard["assistance.offered"] == "traced-1"
            rooms = [f"assistance:{job}", f"assistant:{assistant.id}"]
            caused = set(await asyncio.to_thread(run.checker.rows, CAUSED, rooms, job))
            assert {what for what, _ in caused} >= {
                "event assistance.status",
                "event assistance.offered",
                "job dispatch.offer_next_wave",
                "job dispatch.expire_request",
            }
            assert {request_id for _, request_id in caused} == {"traced-1"}
            await client.call("POST", f"/assistance/{job}/status/", {"status": "canceled"})
            await run.checker.judge(run.people)
            assert not run.history.broken, run.history.told()
