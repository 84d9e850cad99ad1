"""Fifty in one conversation speak at once from fifty sockets, through two of each process, while Redis is emptied."""

import asyncio

from tests.faults import faults
from tests.faults.harness import Field, Run
from tests.faults.person import PATIENCE_SECONDS, Lost, Person

CROWD = 50
WORDS = 2
"""Messages of each, and each is sent twice."""


class TestCrowd:
    def test_of_fifty_hears_one_order_without_loss_or_double(self, pairs: Field) -> None:
        """Seen red with a sidecar that gives what is sent again a new name."""
        asyncio.run(self._crowd(pairs))

    async def _crowd(self, field: Field) -> None:
        async with Run(field) as run:
            people = await run.gather("client", CROWD)
            await run.connect(people)
            talk = await run.inside("talk", user_ids=[person.id for person in people], title="Crowd")
            room = f"conversation:{talk}"
            assert all(await asyncio.gather(*(person.join(room) for person in people)))

            speaking = asyncio.gather(*(self._speak(person, talk) for person in people))
            await people[0].until(lambda: len(self._heard(people[0], room)) > CROWD)
            await run.strike(faults.empty_redis())
            said = await speaking

            wanted = CROWD * WORDS
            for person in people:
                assert await person.until(lambda person=person: len(self._heard(person, room)) >= wanted)  # type: ignore[misc]
            orders = {tuple(self._heard(person, room)) for person in people}
            assert len(orders) == 1
            [order] = orders
            assert sorted(order) == sorted(number for own in said for number in own)
            assert list(order) == sorted(order)
            assert all(own == sorted(own) and len(set(own)) == WORDS for own in said)

            _, page = await people[0].call("GET", f"/conversations/{talk}/messages/?order=oldest&page_size=100")
            assert [message["id"] for message in page["results"]] == list(order[:100])
            _, listed = await people[1].call("GET", f"/conversations/{talk}/")
            assert listed["unread_count"] == wanted - WORDS
            await run.checker.judge(run.people)
            assert not run.history.broken, run.history.told()

    async def _speak(self, person: Person, talk: int) -> list[int]:
        """The ids of what this person said; each is said again under its name until it is answered, and once more."""
        ids = []
        for number in range(WORDS):
            word = {"conversation_id": talk, "content": f"{person.id}.{number}", "client_id": f"c-{number}"}
            first, again = await self._insist(person, word), await self._insist(person, word)
            assert first == again
            ids.append(first)
        return ids

    @staticmethod
    async def _insist(person: Person, word: dict[str, object]) -> int:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    answer = await person.command("message.send", **word)
                except Lost:
                    answer = {"ok": False, "code": "unavailable"}
                if answer["ok"]:
                    return int(answer["message"]["id"])
                assert answer["code"] in {"unavailable", "rate_limited"}, answer
                await asyncio.sleep(0.2)

    @staticmethod
    def _heard(person: Person, room: str) -> list[int]:
        model = person.rooms[room]
        return [data["message"]["id"] for _, type_, data in model.heard if type_ == "message.created"]


class TestStrangers:
    def test_do_nothing_to_a_conversation_by_its_ids(self, pairs: Field) -> None:
        """Z5, over the socket and over REST: what is not theirs is not there, and nobody hears of it.

        Seen red with watermarks that look for the message alone.
        """
        asyncio.run(self._intrude(pairs))

    async def _intrude(self, field: Field) -> None:
        async with Run(field) as run:
            ana, bo, stranger = await run.gather("client", 3)
            await run.connect([ana, bo, stranger])
            talk, own = [
                await run.inside("talk", user_ids=[one.id for one in people], title="Two")
                for people in ((ana, bo), (bo, stranger))
            ]
            room = f"conversation:{talk}"
            assert await ana.join(room)
            _, said = await ana.call("POST", f"/conversations/{talk}/messages/", {"content": "Between us."})
            model = ana.rooms[room]
            assert await ana.until(lambda: any(type_ == "message.created" for _, type_, _ in model.heard))
            before = len(model.heard)

            tried = {"conversation_id": talk, "message_id": said["id"]}
            for how in ("read", "delivered"):
                foreign = await stranger.command(f"message.{how}", **tried)
                misplaced = await stranger.command(f"message.{how}", **{**tried, "conversation_id": own})
                assert (foreign["code"], misplaced["code"]) == ("not_found", "validation_failed")
                mark = {"message_id": said["id"]}
                assert (await stranger.try_once("POST", f"/conversations/{talk}/{how}/", mark))[0] == 404
                assert (await stranger.try_once("POST", f"/conversations/{own}/{how}/", mark))[0] == 422
            words = {"conversation_id": talk, "content": "Hello", "client_id": "c-1"}
            assert (await stranger.command("message.send", **words))["code"] == "not_found"
            reply = {**words, "conversation_id": own, "reply_to": said["id"]}
            assert (await stranger.command("message.send", **reply))["code"] == "validation_failed"
            assert (await stranger.command("typing", conversation_id=talk, on=True))["code"] == "not_joined"
            assert not await stranger.join(room)

            await ana.call("POST", f"/conversations/{talk}/messages/", {"content": "Still between us."})
            assert await ana.until(lambda: model.heard[-1][2].get("message", {}).get("content") == "Still between us.")
            assert [type_ for _, type_, _ in model.heard[before:]] == ["message.created"]
            await run.checker.judge(run.people)
            assert not run.history.broken, run.history.told()
