"""What accounts asks of the modules above it."""

from datetime import datetime
from typing import Protocol

from backend.core.references import Question


class AssistantListener(Protocol):
    """Takes note, in the transaction of the change, that what `public.assistant(user_id)` answers is different now."""

    def __call__(self, *, user_id: int, now: datetime) -> None: ...


ASSISTANT_CHANGED: Question[AssistantListener] = Question("who keeps copies of an assistant's vehicle and licence")


def tell_assistant_changed(*, user_id: int, now: datetime) -> None:
    """Called when a person became an assistant or is one no longer, and when vehicle or licence changed."""
    for kind in sorted(ASSISTANT_CHANGED.kinds):
        ASSISTANT_CHANGED.about(kind)(user_id=user_id, now=now)
