"""How a row of the authorisation table is written."""

from dataclasses import dataclass
from typing import Any, Literal

Outcome = Literal["done", 401, 403, 404, 409, 422]


@dataclass(frozen=True)
class Rule:
    """One operation: how it is called, and what each actor gets; whoever is not named gets `others`."""

    method: str
    path: str
    body: Any = None
    others: Outcome = "done"
    anonymous: Outcome = 401
    exceptions: tuple[tuple[str, Outcome], ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked to sign in first."""
        return self.anonymous in {"done", 422} or self.path in {
            "/auth/login/",
            "/auth/login/google/",
            "/auth/token/refresh/",
        }

    def expected(self, actor: str) -> Outcome:
        return dict(self.exceptions).get(actor, self.anonymous if actor == "anonymous" else self.others)


@dataclass(frozen=True)
class File:
    """A body that is a form with a file."""

    content: bytes
    fields: tuple[tuple[str, str], ...] = ()
    name: str = "file"


def public(method: str, path: str, body: Any = None) -> Rule:
    return Rule(method, path, body, anonymous="done")


def any_user(method: str, path: str, body: Any = None) -> Rule:
    return Rule(method, path, body)


def unfit(method: str, path: str, body: Any = None) -> Rule:
    """For everybody, and refused: nobody has the code, or says what is asked."""
    return Rule(method, path, body, others=422, anonymous=422)


def only(roles: str, method: str, path: str, body: Any = None, **exceptions: Outcome) -> Rule:
    """For these actors; everybody else gets 403."""
    granted: dict[str, Outcome] = dict.fromkeys(roles.split(), "done")
    return Rule(method, path, body, others=403, exceptions=tuple({**granted, **exceptions}.items()))


def party(method: str, path: str, body: Any = None, **exceptions: Outcome) -> Rule:
    """For the job's client and assistant, and managers; to everybody else it does not exist."""
    granted: dict[str, Outcome] = dict.fromkeys(("client", "assistant", "manager", "admin"), "done")
    return Rule(method, path, body, others=404, exceptions=tuple({**granted, **exceptions}.items()))


def owners(method: str, path: str, body: Any = None, **exceptions: Outcome) -> Rule:
    """For the assistant whose document it is; to everybody else it does not exist."""
    granted: dict[str, Outcome] = {"assistant": "done"}
    return Rule(method, path, body, others=404, exceptions=tuple({**granted, **exceptions}.items()))


MANAGERS = "manager admin"
ASSISTANTS = "assistant rival other_assistant"
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a4944415478da6360000000020001e527defc0000000049454e44ae426082"
)
"""A PNG of one black pixel."""
MESSAGE = {"content": "Hello", "client_id": "c-1"}
