"""The life of a booking, and who may move it."""

from collections.abc import Mapping
from enum import StrEnum


class BookingStatus(StrEnum):
    REQUESTED = "requested"
    CONFIRMED = "confirmed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"
    EXPIRED = "expired"


Status = BookingStatus
"""Its name here; the longer one is for the API's document, where others have states too."""

STEPS: Mapping[str, frozenset[str]] = {
    # A booking that is moved to another time passes from its state to the same one: the history shows it.
    Status.REQUESTED: frozenset({Status.REQUESTED, Status.CONFIRMED, Status.CANCELLED, Status.EXPIRED}),
    Status.CONFIRMED: frozenset(
        {
            Status.CONFIRMED,
            Status.REQUESTED,
            Status.COMPLETED,
            Status.CANCELLED,
            Status.NO_SHOW,
        }
    ),
    Status.COMPLETED: frozenset({Status.NO_SHOW}),
    Status.CANCELLED: frozenset(),
    Status.NO_SHOW: frozenset(),
    Status.EXPIRED: frozenset(),
}

OPEN = frozenset({Status.REQUESTED, Status.CONFIRMED})
"""Still ahead, or going on: it may be moved, edited and cancelled."""


class Party(StrEnum):
    """What a person is to a booking. `PROVIDER`: whoever it is booked with, or the crew member at that chair."""

    CLIENT = "client"
    PROVIDER = "provider"
    MANAGER = "manager"


class Side(StrEnum):
    """Who proposed the present time: the other one confirms it."""

    CLIENT = "client"
    PROVIDER = "provider"
