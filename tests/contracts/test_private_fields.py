"""What is private is told to nobody else: a mark in every private column, looked for in every answer and event."""

from typing import Any

import msgspec
import pytest

from backend.accounts.models import AssistantProfile, Session, User
from backend.core.models import EventRow
from tests.architecture.authorisation import TABLE
from tests.architecture.test_authorisation import call
from tests.support.world import ACTORS, World, rolled_back

PRIVATE = {
    User: ("password", "email", "phone_number", "address"),
    AssistantProfile: ("licence_number", "vehicle_registration_number"),
    Session: ("agent",),
}
OWN = {"email", "phone_number", "address", "licence_number", "vehicle_registration_number", "agent"}
"""What people see of themselves."""

MAY_CALL = {"client", "assistant", "manager", "admin"}
"""The sides of a job under way know each other's telephone numbers; managers know both."""


def mark(column: str, name: str) -> str:
    return f"{column[:8]}~{list(ACTORS).index(name)}~"


@pytest.fixture
def marked(world: World) -> World:
    """Everybody carries a mark in each of their private columns."""
    for name, member in world.members.items():
        for model, columns in PRIVATE.items():
            rows = model._base_manager.filter(**{"pk" if model is User else "user_id": member.id})
            rows.update(**{column: mark(column, name) for column in columns})
    return world


class TestPrivateFields:
    @pytest.mark.parametrize("actor", ACTORS)
    def test_are_in_no_answer_to_anybody_else(self, marked: World, actor: str) -> None:
        """Z4. Seen red with telephone numbers in the directory of people."""
        allowed = {mark(column, actor) for column in OWN}
        allowed |= {mark("phone_number", side) for side in ("client", "assistant") if actor in MAY_CALL}
        hidden = [mark(column, name) for columns in PRIVATE.values() for column in columns for name in marked.members]
        seen = 0
        for rule in TABLE.values():
            with rolled_back():
                answer = call(marked, rule, actor)
                seen += answer.status < 400
                text = msgspec.json.encode(_plain(answer.body)).decode() + str(answer.headers)
                told = set(EventRow.objects.values_list("data", flat=True))
                assert [found for found in hidden if found in text and found not in allowed] == [], rule.path
                assert [found for found in hidden if any(found in data for data in told)] == [], rule.path
        assert seen > 0

    def test_would_be_found(self, marked: World) -> None:
        text = msgspec.json.encode(marked.api("client").get("/me/").body).decode()
        assert all(mark(column, "client") in text for column in ("email", "phone_number", "address"))


def _plain(body: Any) -> Any:
    return body.decode(errors="replace") if isinstance(body, bytes) else body
