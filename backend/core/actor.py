"""Who acts: the first argument of every service and selector."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """The roles a person can hold, several at once."""

    CLIENT = "client"
    ASSISTANT = "assistant"
    CONTRACTOR = "contractor"
    CREW = "crew"
    SPECIALIST = "specialist"
    FREELANCER = "freelancer"
    MANAGER = "manager"
    ADMIN = "admin"


PROVIDERS = frozenset({Role.ASSISTANT, Role.CONTRACTOR, Role.CREW, Role.SPECIALIST, Role.FREELANCER})
MANAGERS = frozenset({Role.MANAGER, Role.ADMIN})
SELF_SERVICE = frozenset({Role.CLIENT, *PROVIDERS})
"""The roles that people may take for themselves; the others are given."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A signed-in person: their id, what they are, and the session they act through."""

    id: int
    roles: frozenset[str]
    session_id: int

    @property
    def is_manager(self) -> bool:
        return not MANAGERS.isdisjoint(self.roles)

    def holds(self, *roles: Role) -> bool:
        return not self.roles.isdisjoint(roles)
