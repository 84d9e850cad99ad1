"""The second story that `./callout demo` tells, on real processes; its reminder a day later is left to the demo."""

import asyncio
import re

from backend.cli.story.booking import Booked
from backend.cli.story.telling import Step
from tests.support.stack import Platform

STORY = (
    r"Lina types “haricut” and finds \d+ services near her; Karim's Barbershop: “Haircut and beard”, \d+\.00 DZD",
    r"\d+ free times within a week; she takes \S+",
    r"3 people book that time: each gets a chair of their own; Lina's is requested",
    r"One more wants the same time: slot_taken",
    r"Karim confirms; cancelling would cost her 0\.00 DZD now",
)


class TestBooking:
    def test_every_step_holds(self, stack: Platform) -> None:
        told: list[Step] = []
        story = Booked(api_url=stack.url("backend"), realtime_url=stack.url("realtime"), tell=told.append)
        asyncio.run(story.play())
        assert len(told) == len(STORY)
        for step, expected in zip(told, STORY, strict=True):
            assert re.fullmatch(expected, step.title)
