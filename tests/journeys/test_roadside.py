"""The story that `./callout demo` tells, over HTTP and sockets, on real processes."""

import asyncio
import re
from datetime import timedelta

from backend.cli.story.roadside import Roadside
from backend.cli.story.telling import Step
from tests.support.stack import Platform

STORY = (
    r"Nadia and five assistants signed up",
    r"Five driving licences are shown; Malik, a manager, approves them",
    r"Six sockets are open, five assistants on duty and on the map",
    r"Nadia is quoted \d+\.\d{2} DZD for \d+\.\d+ km",
    r"Nadia asks for a tow truck; the three nearest are asked",
    r"Amel and Bachir accept at once; (Amel|Bachir) wins, the other gets already_accepted",
    r"(Nadia|Amel|Bachir): “.+” \(sent twice, stored once\)",
    r"(Nadia|Amel|Bachir): “.+” \(sent twice, stored once\)",
    r"(Amel|Bachir) has arrived and starts: ongoing",
    r"Nadia follows five live positions on her map",
    r"Nadia's connection drops; back again, she gets the three messages she missed, in order",
    r"(Amel|Bachir) has finished: completed",
    r"Paid at the roadside: \d+\.\d{2} DZD; Nadia gives five stars, once",
    r"Another request, nobody answers: 20 s on, the ring grows to 10 km",
    r"Nadia cancels; the offers are withdrawn",
)


class TestRoadsideJob:
    def test_every_step_holds(self, stack: Platform) -> None:
        told: list[Step] = []

        async def move_clock(by: timedelta) -> None:
            await asyncio.to_thread(stack.move_clock, by)

        story = Roadside(
            api_url=stack.url("backend"), realtime_url=stack.url("realtime"), tell=told.append, move_clock=move_clock
        )
        asyncio.run(story.play())
        titles = [step.title for step in told]
        assert len(titles) == len(STORY)
        for title, expected in zip(titles, STORY, strict=True):
            assert re.fullmatch(expected, title)
