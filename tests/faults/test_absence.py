"""Who was away gets exactly what they missed, or is told to read it afresh, and then goes on."""

import asyncio
from datetime import timedelta

from tests.faults.harness import Field, Run
from tests.faults.person import Person

AWAY = timedelta(minutes=10)


class TestAbsence:
    def test_of_ten_minutes_and_300_events_is_made_up_for(self, field: Field) -> None:
        """R2: what does not fit one answer comes with the next, and the live events only after all of it."""
        asyncio.run(self._miss(field, count=300, characters=1500, resyncs=0))

    def test_of_1010_events_is_told_to_read_afresh(self, field: Field) -> None:
        """R2, R10: a thousand at most are made up for. The snapshot holds all of them, and the room goes on
        from the cursor that was given."""
        asyncio.run(self._miss(field, count=1010, characters=20, resyncs=1))

    async def _miss(self, field: Field, *, count: int, characters: int, resyncs: int) -> None:
        async with Run(field) as run:
            reader, writer = await run.gather("client", 2)
            await run.connect([reader, writer])
            talk = await run.inside("talk", user_ids=[reader.id, writer.id], title=f"{count} events")
            room = f"conversation:{talk}"
            assert await reader.join(room)
            assert await reader.until(lambda: reader.rooms[room].last == 2, 10)
            await reader.disconnect()

            field.move_clock(AWAY)
            await run.inside("say", user_id=writer.id, conversation_id=talk, count=count, characters=characters)
            await run.checker.settle()
            await run.connect([reader])
            model = reader.rooms[room]
            assert await reader.until(lambda: model.last == count + 2, 10)
            assert model.resyncs == resyncs
            await writer.call("POST", f"/conversations/{talk}/messages/", {"content": "There you are."})
            assert await reader.until(lambda: model.last == count + 3, 10)

            heard = [data["message"]["content"] for _, type_, data in model.heard if type_ == "message.created"]
            missed = [f"{number} ".ljust(characters, ".") for number in range(count)]
            assert heard == [*([] if resyncs else missed), "There you are."]
            if resyncs:
                assert await self._snapshot(reader, talk) == [*missed, "There you are."]
            await run.checker.judge(run.people)
            assert not run.history.broken, run.history.told()

    @staticmethod
    async def _snapshot(reader: Person, talk: int) -> list[str]:
        """All that was said, read page by page."""
        said: list[str] = []
        path: str | None = f"/conversations/{talk}/messages/?order=oldest&page_size=100"
        while path:
            _, page = await reader.call("GET", path)
            said += [message["content"] for message in page["results"]]
            path = page["next"].partition("/api/v1")[2] if page["next"] else None
        return said
