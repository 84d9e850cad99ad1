"""R10: what a client knew and the events since make what it would read now, for every event of conversations."""

from collections.abc import Callable
from typing import Any

import pytest

from backend.messaging.services import conversations
from shared_contracts.events import NUMBERED
from tests.backend.messaging.conftest import Talk, told
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.jobs import run_jobs
from tests.support.people import Member

pytestmark = pytest.mark.django_db

Snapshot = dict[str, Any]


def read(api: Api, who: Member, group: Talk) -> Snapshot:
    """What an app shows of one conversation, and of the list."""
    mine = api.as_(who)
    messages = mine.get(group.path, order="oldest").body["results"]
    people = mine.get(f"/conversations/{group.id}/").body["participants"]
    return {
        "messages": {row["id"]: row for row in messages},
        "people": {one["id"]: one for one in people},
        "list": {
            row["id"]: {name: row[name] for name in ("last_message", "unread_count", "is_muted", "is_closed")}
            for row in mine.get("/conversations/").body["results"]
        },
    }


def follow(snapshot: Snapshot, type_: str, data: Any) -> None:
    """What an app does with an event."""
    people = snapshot["people"]
    match type_:
        case "message.created" | "message.updated":
            known = snapshot["messages"].get(data["message"]["id"])
            if known is None or known["version"] < data["message"]["version"]:
                snapshot["messages"][data["message"]["id"]] = data["message"]
        case "message.read":
            people[data["user_id"]] |= {
                "read_message_id": data["message_id"],
                "delivered_message_id": max(data["message_id"], people[data["user_id"]]["delivered_message_id"] or 0),
            }
        case "message.delivered":
            people[data["user_id"]]["delivered_message_id"] = data["message_id"]
        case "member.added":
            people[data["user"]["id"]] = {**data["user"], "read_message_id": None, "delivered_message_id": None}
        case "member.removed":
            del people[data["user"]["id"]]
        case "conversation.updated" if data["is_member"]:
            names = ("last_message", "unread_count", "is_muted", "is_closed")
            snapshot["list"][data["id"]] = {name: data[name] for name in names}
        case "conversation.updated":
            snapshot["list"].pop(data["id"], None)


CONVERSATIONS = {"message.", "member.", "conversation."}
EVENTS = [event.type for event in NUMBERED if event.type.partition(".")[0] + "." in CONVERSATIONS]


class TestSnapshots:
    @pytest.mark.parametrize("type_", EVENTS)
    def test_old_and_events_are_new(
        self, api: Api, group: Talk, talk: Talk, stranger: Member, at: Moment, type_: str
    ) -> None:
        """Seen red with unread counts, watermarks or versions missing in an event."""
        assert group.cem is not None
        cem = group.cem
        first, second = group.say(group.ana, "One", at), group.say(cem, "Two", at)
        run_jobs("messaging.tell_members")
        here = f"/conversations/{group.id}"
        acts: dict[str, list[Callable[[], object]]] = {
            "message.created": [lambda: group.say(group.ana, "Three", at, reply_to=first.id)],
            "message.updated": [
                lambda: api.as_(group.ana).patch(f"/messages/{first.id}/", {"content": "Won"}),
                lambda: api.as_(cem).delete(f"/messages/{second.id}/"),
            ],
            "message.delivered": [lambda: api.as_(group.bo).post(f"{here}/delivered/", {})],
            "message.read": [
                lambda: api.as_(group.bo).post(f"{here}/read/", {"message_id": first.id}),
                lambda: api.as_(group.bo).post(f"{here}/read/", {}),
            ],
            "member.added": [lambda: api.as_(group.bo).post(f"{here}/members/", {"user_ids": [stranger.id]})],
            "member.removed": [lambda: api.as_(group.ana).delete(f"{here}/members/{cem.id}/")],
            "conversation.updated": [
                lambda: api.as_(group.bo).put(f"{here}/mute/"),
                lambda: conversations.start_conversation(
                    actor=cem.actor, participants=[group.bo.id], subject=None, title="New", now=at.now
                ),
                lambda: conversations.close_conversation(conversation_id=group.id, now=at.now),
            ],
        }
        rooms = (group.room, f"user:{group.bo.id}")
        snapshot = read(api, group.bo, group)
        seen = {room: len(told(room)) for room in rooms}
        for act in acts[type_]:
            act()
        at.forward(seconds=2)
        run_jobs("messaging.tell_members")
        news = [event for room in rooms for event in told(room)[seen[room] :]]
        assert type_ in {name for name, _ in news}
        for name, data in news:
            follow(snapshot, name, data)
        assert snapshot == read(api, group.bo, group)
