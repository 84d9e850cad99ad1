"""What all stories share: steps that are told as soon as they held, and what ends a story that does not hold."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from backend.cli.story.phone import Heard, StoryFailed


@dataclass
class Step:
    """One thing that held: what happened, who saw it, and after how many milliseconds."""

    title: str
    seen: list[str] = field(default_factory=list)
    ms: float = 0.0


Tell = Callable[[Step], None]
MoveClock = Callable[[timedelta], Awaitable[None]]


class Story:
    """Played by phones; every step is told as soon as it held, and StoryFailed ends the play."""

    def __init__(self, *, api_url: str, realtime_url: str, tell: Tell) -> None:
        self.api_url, self.realtime_url, self.tell = api_url, realtime_url, tell

    @staticmethod
    def _expect(held: bool, what: str) -> None:
        if not held:
            raise StoryFailed(f"it should be true, and is not: {what}")

    def _told(self, title: str, started: float, seen: Mapping[str, Heard] | None = None) -> None:
        heard = [f"{name} after {(event.at - started) * 1000:.1f} ms" for name, event in (seen or {}).items()]
        self.tell(Step(title, heard, (time.perf_counter() - started) * 1000))
