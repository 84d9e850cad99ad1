"""The life of a roadside job, and who may change what to what."""

from collections.abc import Mapping
from enum import StrEnum


class Status(StrEnum):
    REQUESTED = "requested"
    ACCEPTED = "accepted"
    ONGOING = "ongoing"
    COMPLETED = "completed"
    CANCELED = "canceled"
    EXPIRED = "expired"


STEPS: Mapping[str, frozenset[str]] = {
    Status.REQUESTED: frozenset({Status.ACCEPTED, Status.CANCELED, Status.EXPIRED}),
    Status.ACCEPTED: frozenset({Status.ONGOING, Status.CANCELED, Status.REQUESTED}),
    Status.ONGOING: frozenset({Status.COMPLETED, Status.CANCELED}),
    Status.COMPLETED: frozenset(),
    Status.CANCELED: frozenset(),
    Status.EXPIRED: frozenset(),
}

TAKEN = frozenset({Status.ACCEPTED, Status.ONGOING})
"""An assistant is on it; an assistant has at most one such job."""
OPEN = TAKEN | {Status.REQUESTED}
"""Not over yet; a client has at most one such job."""


class OfferStatus(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class Party(StrEnum):
    """What a person is to a job. `OFFERED`: an assistant with an open offer, who may see it and no more."""

    CLIENT = "client"
    ASSISTANT = "assistant"
    OFFERED = "offered"
    MANAGER = "manager"


_ASSISTANT: Mapping[str, frozenset[Status]] = {
    Status.ONGOING: frozenset({Status.ACCEPTED}),
    Status.COMPLETED: frozenset({Status.ONGOING}),
    Status.CANCELED: TAKEN,
}
MAY: Mapping[Party, Mapping[str, frozenset[Status]]] = {
    Party.CLIENT: {Status.CANCELED: OPEN},
    Party.ASSISTANT: _ASSISTANT,
    Party.OFFERED: {},
    Party.MANAGER: {**_ASSISTANT, Status.CANCELED: OPEN},
}
"""To which state each may bring a job by `POST /assistance/{id}/status/`, and from which states."""
