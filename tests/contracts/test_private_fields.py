"""What is private is told to nobody else: a mark in every private column, looked for in every answer and event."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from backend.accounts.models import AssistantProfile, Session, User
from backend.core.models import EventRow
from backend.messaging.models import Attachment, Message
from backend.notifications.models import Bounce, Device, Notification
from shared_contracts.rooms import conversation_room, user_room
from tests.architecture.authorisation import TABLE
from tests.architecture.test_authorisation import call
from tests.support.world import ACTORS, World, rolled_back

PRIVATE = {
    User: ("password", "email", "phone_number", "address", "pending_email", "pending_phone_number"),
    AssistantProfile: ("licence_number", "vehicle_registration_number"),
    Session: ("agent",),
}
OWN = {"email", "phone_number", "address", "licence_number", "vehicle_registration_number", "agent"} | {
    "pending_email",
    "pending_phone_number",
}
"""What people see of themselves."""

MAY_CALL = {"client", "assistant", "manager", "admin"}
"""The sides of a job under way know each other's telephone numbers; managers know both."""


@dataclass(frozen=True)
class Told:
    """A mark in what was said or told, and who alone may find it: these actors, and these rooms beside their own."""

    mark: str
    actors: frozenset[str] = frozenset()
    rooms: frozenset[str] = frozenset()


def mark(column: str, name: str) -> str:
    return f"{column[:8]}~{list(ACTORS).index(name)}~"


@pytest.fixture
def marked(world: World) -> World:
    """Everybody carries a mark in each of their private columns."""
    for name, member in world.members.items():
        for model, columns in PRIVATE.items():
            rows = model._base_manager.filter(**{"pk" if model is User else "user_id": member.id})
            since = {"pending_since": datetime.now(UTC)} if model is User else {}
            rows.update(**since, **{column: mark(column, name) for column in columns})
    return world


@pytest.fixture
def told(marked: World) -> list[Told]:
    """What a group said and attached, what the client blocked and was told, their devices, and an address of theirs."""
    now = datetime.now(UTC)
    client, other, rival = (marked.members[name] for name in ("client", "other_client", "rival"))
    Message.objects.filter(pk=marked.ids["message"]).update(content="said~group~")
    for uploader, message_id in ((client, marked.ids["message"]), (rival, None)):
        Attachment.objects.create(
            uploader_id=uploader.id,
            message_id=message_id,
            file_key=f"attachments/{uploader.id}.pdf",
            name="file~group~" if message_id else "file~nobody~",
            content_type="application/pdf",
            size_bytes=9,
            created_at=now,
        )
    pair = marked.api("other_client").post("/conversations/", {"participants": [client.id]}).body["id"]
    assert marked.api("other_client").post(f"/conversations/{pair}/messages/", {"content": "Hello"}).status == 201
    assert marked.api("client").post(f"/users/{other.id}/block/").status == 204
    said = marked.api("other_client").post(f"/conversations/{pair}/messages/", {"content": "said~withheld~"})
    assert said.status == 201
    Notification.objects.filter(user_id=client.id).update(title="title~client~", body="body~client~")
    Device.objects.update(token="token~device~", public_key="key~device~", secret="secret~device~")
    Bounce.objects.create(address="bounce~address~", reason="bounce~reason~", at=now)
    group = frozenset({conversation_room(marked.ids["conversation"])})
    members, owner = frozenset({"client", "assistant"}), frozenset({"client"})
    return [
        *(Told(text, members, group) for text in ("said~group~", "file~group~")),
        Told("said~withheld~", frozenset({"other_client"})),
        *(Told(text, owner) for text in ("title~client~", "body~client~")),
        *(Told(f"{text}~device~") for text in ("token", "key", "secret")),
        *(Told(text) for text in ("file~nobody~", "bounce~address~", "bounce~reason~")),
    ]


class TestPrivateFields:
    @pytest.mark.parametrize("actor", ACTORS)
    def test_are_in_no_answer_to_anybody_else(self, marked: World, told: list[Told], actor: str) -> None:
        """Z4. Seen red with telephone numbers in the directory of people.

        And of what was said and told: with membership not asked for when a message is read, with withheld messages in
        the feed of all messages, and with titles in the list of what could not be delivered.
        """
        allowed = {mark(column, actor) for column in OWN}
        allowed |= {mark("phone_number", side) for side in ("client", "assistant") if actor in MAY_CALL}
        hidden = [mark(column, name) for columns in PRIVATE.values() for column in columns for name in marked.members]
        seen = 0
        for rule in TABLE.values():
            with rolled_back():
                answer = call(marked, rule, actor)
                seen += answer.status < 400
                text = msgspec.json.encode(_plain(answer.body)).decode() + str(answer.headers)
                events = set(EventRow.objects.values_list("room", "data"))
                assert [found for found in hidden if found in text and found not in allowed] == [], rule.path
                assert [found for found in hidden if any(found in data for _, data in events)] == [], rule.path
                assert [one.mark for one in told if one.mark in text and actor not in one.actors] == [], rule.path
                assert [one.mark for one in told if _heard(one, marked, events)] == [], rule.path
        assert seen > 0

    def test_would_be_found(self, marked: World) -> None:
        text = msgspec.json.encode(marked.api("client").get("/me/").body).decode()
        assert all(mark(column, "client") in text for column in ("email", "phone_number", "address"))

    def test_would_be_found_in_what_was_said_and_told(self, marked: World, told: list[Told]) -> None:
        """Who may find a mark does: the marks are where answers are made of."""
        asked = ("/messages/", "/conversations/", "/notifications/")
        for one in told:
            for actor in one.actors:
                assert any(one.mark in str(marked.api(actor).get(path).body) for path in asked), (one, actor)


def _heard(one: Told, world: World, events: set[tuple[str, str]]) -> bool:
    """Whether it went to a room that it is not for."""
    rooms = one.rooms | {user_room(world.members[actor].id) for actor in one.actors}
    return any(one.mark in data and room not in rooms for room, data in events)


def _plain(body: Any) -> Any:
    return body.decode(errors="replace") if isinstance(body, bytes) else body
