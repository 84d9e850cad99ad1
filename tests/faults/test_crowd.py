"""Fifty in one conversation speak at once from fifty sockets, through two of each process, while Redis is emptied."""

import asyncio

from shared_contracts.commands import COMMANDS
from tests.faults import faults
from tests.faults.harness import Field, Run
from tests.faults.person import PATIENCE_SECONDS, Json, Lost, Person

PLACE = {"lat": 12.5, "lng": 7.5}
"""Where nobody is on duty."""
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


def foreign(*, talk: int, said: int, job: int, owner: Person) -> dict[str, list[tuple[Json, str]]]:
    """Each command of the socket, aimed at what is another's, and the answer to it. None is left out."""
    words = {"content": "Hello", "client_id": "c-1"}
    rooms = [f"conversation:{talk}", f"user:{owner.id}", f"assistant:{owner.id}", *managers_rooms(job)]
    mark = {"conversation_id": talk, "message_id": said}
    return {
        "join": [({"room": room}, "not_found") for room in rooms],
        "leave": [({"room": room}, "not_joined") for room in rooms],
        "location.update": [(PLACE | {key: owner.id}, "validation_failed") for key in ("user_id", "assistance_id")],
        "message.send": [
            (words | {"conversation_id": talk}, "not_found"),
            (words | {"assistance_id": job}, "not_found"),
        ],
        "message.read": [(mark, "not_found")],
        "message.delivered": [(mark, "not_found")],
        "typing": [({"conversation_id": talk, "on": True}, "not_joined")],
        "assistance.accept": [({"id": job}, "not_found")],
        "assistance.decline": [({"id": job}, "not_found")],
        "authenticate": [({"token": owner.access}, "forbidden")],
        "ping": [({"user_id": owner.id}, "validation_failed")],
    }


def managers_rooms(job: int) -> list[str]:
    """What managers may watch, and nobody else who has no part in it."""
    return [f"assistance:{job}", "console"]


class TestStrangers:
    def test_do_nothing_to_a_conversation_by_its_ids(self, pairs: Field) -> None:
        """Z5, over the socket and over REST: what is not theirs is not there, and nobody hears of it.

        Seen red with watermarks that look for the message alone.
        """
        asyncio.run(self._intrude(pairs))

    def test_do_nothing_to_anything_by_any_command(self, pairs: Field) -> None:
        """Z5: all there are, from people of every role. A new one is missed here until the table says what it answers.

        Seen red with `typing` told to rooms that were not joined, and with a command that the table lacks.
        """
        asyncio.run(self._try_everything(pairs))

    async def _try_everything(self, field: Field) -> None:
        async with Run(field) as run:
            ana, bo = await run.gather("client", 2)
            _, asked = await ana.call(
                "POST",
                "/assistance/",
                {"pickup": PLACE, "service_type": "towing"},
            )
            job = asked["assistance"]["id"]
            kinds = ("client", "assistant", "freelancer", "contractor", "manager")
            strangers = [(await run.gather(kind, 1))[0] for kind in kinds]
            await run.connect([ana, bo, *strangers])
            talk = await run.inside("talk", user_ids=[ana.id, bo.id], title="Two")
            watched = [f"conversation:{talk}", f"assistance:{job}"]
            assert all([await ana.join(room) for room in watched])
            _, said = await ana.call("POST", f"/conversations/{talk}/messages/", {"content": "Between us."})
            talked = ana.rooms[watched[0]]
            assert await ana.until(lambda: any(type_ == "message.created" for _, type_, _ in talked.heard))
            await run.checker.settle()
            before = {room: len(model.heard) for room, model in ana.rooms.items()}

            table = foreign(talk=talk, said=said["id"], job=job, owner=ana)
            assert set(table) == {command.name for command in COMMANDS}
            for kind, stranger in zip(kinds, strangers, strict=True):
                for name, tries in table.items():
                    for payload, code in tries:
                        if (kind, name) == ("manager", "join") and payload["room"] in managers_rooms(job):
                            continue
                        answer = await stranger.command(name, **payload)
                        codes = {code, "not_found" if kind == "assistant" else "forbidden"}
                        assert answer.get("code") in codes, (kind, name, payload, answer)
            await run.checker.settle()
            assert {room: len(model.heard) for room, model in ana.rooms.items()} == before
            await ana.call("POST", f"/assistance/{job}/status/", {"status": "canceled"})
            await run.checker.judge(run.people)
            assert not run.history.broken, run.history.told()

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
