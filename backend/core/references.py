"""Questions that a lower module asks an upper one, by the kind of thing that a reference names (`assistance:7`).

The upper module registers its answer in `AppConfig.ready()`; an unknown kind is a 422.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from backend.core.errors import UnknownReference
from shared_contracts.internal import RoomContext
from shared_contracts.rooms import RoomKind

Answer = TypeVar("Answer", bound=Callable[..., object])


class Question(Generic[Answer]):
    """One question, answered by whichever module owns the kind of reference."""

    def __init__(self, meaning: str) -> None:
        self.meaning = meaning
        self._answers: dict[str, Answer] = {}

    def answered_by(self, kind: str, answer: Answer) -> None:
        self._answers[kind] = answer

    def about(self, kind: str) -> Answer:
        """The answer for this kind. Raises UnknownReference."""
        try:
            return self._answers[kind]
        except KeyError:
            raise UnknownReference(f"Nothing here is called {kind!r}.") from None

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(self._answers)


@dataclass(frozen=True, slots=True)
class RoomSeeker:
    """A person who wants to be in a room."""

    user_id: int
    roles: frozenset[str]
    room_id: int


@dataclass(frozen=True, slots=True)
class RoomAccess:
    """Whether they may, and from which event on.

    `added_event_id` is the row of their own `member.added`; None lets them see the room from its beginning.
    """

    allowed: bool
    added_event_id: int | None = None
    context: RoomContext = field(default_factory=RoomContext)


REFUSED = RoomAccess(allowed=False)

RoomGate = Callable[[Sequence[RoomSeeker]], Sequence[RoomAccess]]
"""Answers many seekers at once, in their order, with a fixed number of queries."""

ROOM_ACCESS: Question[RoomGate] = Question("who may be in this room")


SubjectPeople = Callable[[int], frozenset[int] | None]
"""Of one thing's id: the ids of those who may talk about it; None when there is no such thing.

It is asked while a conversation is opened or grows, and may lock the thing's row until the end of the transaction, so
that what it says stays true as long.
"""

SUBJECT_PEOPLE: Question[SubjectPeople] = Question("who may talk about this")


def room_gates() -> Mapping[RoomKind, RoomGate]:
    return {RoomKind(kind): ROOM_ACCESS.about(kind) for kind in ROOM_ACCESS.kinds}


def make_reference(kind: str, id: int) -> str:  # noqa: A002 - the word of the domain
    return f"{kind}:{id}"


def read_reference(reference: str) -> tuple[str, int]:
    """Kind and id of a reference. Raises UnknownReference for anything that is not one."""
    kind, colon, number = reference.partition(":")
    if not (colon and kind and number.isascii() and number.isdigit() and len(number) < 19 and int(number)):
        raise UnknownReference("A reference looks like booking:7.")
    return kind, int(number)
