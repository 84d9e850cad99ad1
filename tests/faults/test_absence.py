"""Who was away gets exactly what they missed, or is told to read it afresh, and then goes on."""

import asyncio
from datetime import timedelta

from tests.faults.harness import Field, Run
from tests.faults.person import Person

AWAY = timedelta(hours=1)


KEPT_SECONDS = 10


class TestAbsence:
    def test_of_an_hour_and_300_events_is_made_up_for(self, field: Field) -> None:
        """R2: what does not fit one answer comes with the next, and the live events only after all of it."""
        asyncio.run(_alone(field, said=300, receipts=0, characters=1500, resyncs=0))

    def test_of_2000_events_is_told_to_read_afresh(self, field: Field) -> None:
        """R2, R10: a thousand at most are made up for. The snapshot holds all of them, and the room goes on
        from the cursor that was given."""
        asyncio.run(_alone(field, said=20, receipts=1980, characters=20, resyncs=1))


async def _alone(field: Field, *, said: int, receipts: int, characters: int, resyncs: int) -> None:
    async with Run(field) as run:
        await miss(run, said=said, receipts=receipts, characters=characters, resyncs=resyncs)


async def miss(run: Run, *, said: int, receipts: int, characters: int, resyncs: int) -> None:
    """Somebody is away while so much is said and received, and comes back."""
    reader, writer = await run.gather("client", 2)
    await run.connect([reader, writer])
    talk = await run.inside("talk", user_ids=[reader.id, writer.id], title=f"{said} said")
    room = f"conversation:{talk}"
    assert await reader.join(room)
    assert await reader.until(lambda: reader.rooms[room].last == 2, KEPT_SECONDS)
    await reader.disconnect()

    run.field.move_clock(AWAY)
    for person in (reader, writer):
        person.access = await run.inside("renew", user_id=person.id, session_id=person.session_id)
    await run.inside("say", user_id=writer.id, conversation_id=talk, count=said, characters=characters)
    await run.inside("acknowledge", user_id=writer.id, conversation_id=talk, count=receipts)
    await run.checker.settle()
    await run.connect([reader])
    model = reader.rooms[room]
    assert await reader.until(lambda: model.last == said + receipts + 2, KEPT_SECONDS)
    assert model.resyncs == resyncs
    await writer.call("POST", f"/conversations/{talk}/messages/", {"content": "There you are."})
    assert await reader.until(lambda: model.last == said + receipts + 3, KEPT_SECONDS)

    heard = [data["message"]["content"] for _, type_, data in model.heard if type_ == "message.created"]
    missed = [f"{number} ".ljust(characters, ".") for number in range(said)]
    assert heard == [*([] if resyncs else missed), "There you are."]
    if resyncs:
        assert await _snapshot(reader, talk) == [*missed, "There you are."]
    await run.hold()


async def _snapshot(reader: Person, talk: int) -> list[str]:
    """All that was said, read page by page."""
    said: list[str] = []
    path: str | None = f"/conversations/{talk}/messages/?order=oldest&page_size=100"
    while path:
        _, page = await reader.call("GET", path)
        said += [message["content"] for message in page["results"]]
        path = page["next"].partition("/api/v1")[2] if page["next"] else None
    return said
