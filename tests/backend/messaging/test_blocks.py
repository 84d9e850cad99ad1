"""Blocking: what the blocked say to two reaches nobody, and they cannot tell."""

import base64

import pytest

from backend.core import realtime
from backend.core.models import EventRow
from backend.messaging import public
from backend.messaging.models import Block
from tests.backend.messaging.conftest import Talk, broken, lists_of, told
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.people import Member

pytestmark = pytest.mark.django_db


@pytest.fixture
def blocked(api: Api, talk: Talk) -> Talk:
    """Bo has blocked Ana."""
    assert api.as_(talk.bo).post(f"/users/{talk.ana.id}/block/").status == 204
    return talk


class TestBlockedMessage:
    def test_reaches_its_sender_alone(self, api: Api, blocked: Talk, at: Moment) -> None:
        """Seen red with `is_withheld` left out of any of: room, lists, feeds, search, unread, news."""
        talk = blocked
        heard = talk.events(), lists_of(talk.bo), told(f"user:{talk.bo.id}")
        sent = api.as_(talk.ana).post(talk.path, {"content": "Please answer", "client_id": "a-1"})
        assert sent.status == 201
        again = api.as_(talk.ana).post(talk.path, {"content": "Please answer", "client_id": "a-1"})
        assert again.body == sent.body
        edited = api.as_(talk.ana).patch(f"/messages/{sent.body['id']}/", {"content": "Please, answer"})
        assert edited.status == 200
        # To the other it never was.
        assert (talk.events(), lists_of(talk.bo), told(f"user:{talk.bo.id}")) == heard
        bo = api.as_(talk.bo)
        assert bo.get(talk.path).body["results"] == bo.get("/messages/").body["results"] == []
        assert bo.get(talk.path, search="please").body["results"] == []
        assert bo.get("/messages/", search="please").body["results"] == []
        assert bo.get(f"/messages/{sent.body['id']}/").status == 404
        assert bo.post(talk.path, {"content": "What?", "reply_to": sent.body["id"]}).status == 422
        (listed,) = bo.get("/conversations/").body["results"]
        assert (listed["last_message"], listed["unread_count"]) == (None, 0)
        assert public.first_unread(conversation_id=talk.id, since_id=sent.body["id"]) == {}
        # To its sender it is like any other.
        ana = api.as_(talk.ana)
        # Without an edge the feed trusts what conversations and stays know of their last message.
        latest = base64.b64encode(b"n" + b"9" * 18).decode().rstrip("=")
        for who in (ana, bo):
            assert who.get("/messages/").body["results"] == who.get("/messages/", cursor=latest).body["results"]
        for path in (talk.path, "/messages/"):
            assert [row["content"] for row in ana.get(path).body["results"]] == ["Please, answer"]
        assert ana.get("/messages/", search="please").body["results"] == [edited.body]
        assert ana.get("/conversations/").body["results"][0]["last_message"] == edited.body
        assert [type_ for type_, _ in told(f"user:{talk.ana.id}")] == [
            "message.created",
            "conversation.updated",
            "message.updated",
            "conversation.updated",
        ]
        assert broken(at) == set()

    def test_is_not_betrayed_by_watermarks(self, api: Api, blocked: Talk, at: Moment) -> None:
        talk = blocked
        seen = talk.say(talk.bo, "Last word", at)
        withheld = talk.say(talk.ana, "No", at)
        for path in ("read", "delivered"):
            for body in ({"message_id": withheld.id}, {}):
                assert api.as_(talk.ana).post(f"/conversations/{talk.id}/{path}/", body).status == 204
        assert {data["message_id"] for type_, data in talk.events() if type_ == "message.read"} == {seen.id}
        api.as_(talk.ana).delete(f"/messages/{withheld.id}/")
        assert not any(data.get("message", {}).get("id") == withheld.id for _, data in talk.events())
        assert broken(at) == set()

    def test_stays_unheard_after_unblocking(self, api: Api, blocked: Talk, at: Moment) -> None:
        talk = blocked
        talk.say(talk.ana, "Unheard", at)
        assert api.as_(talk.bo).delete(f"/users/{talk.ana.id}/block/").status == 204
        heard = talk.say(talk.ana, "Heard", at)
        assert [row["id"] for row in api.as_(talk.bo).get(talk.path).body["results"]] == [heard.id]
        assert len(api.as_(talk.ana).get(talk.path).body["results"]) == 2
        assert lists_of(talk.bo)[-1] == (talk.id, 1, "Heard")
        assert broken(at) == set()

    def test_is_a_group_s_matter_only_for_the_app(self, api: Api, group: Talk, at: Moment) -> None:
        api.as_(group.bo).post(f"/users/{group.ana.id}/block/")
        said = group.say(group.ana, "To all", at)
        assert [row["id"] for row in api.as_(group.bo).get(group.path).body["results"]] == [said.id]
        assert group.cem is not None
        assert public.first_unread(conversation_id=group.id, since_id=said.id).keys() == {group.cem.id}
        assert broken(at) == set()

    def test_a_title_does_not_get_through_either(self, api: Api, talk: Talk, stranger: Member, at: Moment) -> None:
        api.as_(talk.bo).post(f"/users/{stranger.id}/block/")
        opened = api.as_(stranger).post("/conversations/", {"participants": [talk.bo.id], "title": "Hear me"})
        assert opened.status == 201, opened.body
        api.as_(stranger).post(f"/conversations/{opened.body['id']}/messages/", {"content": "Now"})
        assert [row["id"] for row in api.as_(talk.bo).get("/conversations/").body["results"]] == [talk.id]
        assert lists_of(talk.bo) == []
        assert len(api.as_(stranger).get("/conversations/").body["results"]) == 1
        asked = api.as_(talk.bo).post("/conversations/", {"participants": [stranger.id], "title": "Hear me"})
        assert asked.status == 201, asked.body
        assert asked.body["id"] == opened.body["id"]
        assert len(api.as_(talk.bo).get("/conversations/").body["results"]) == 2
        assert broken(at) == set()


class TestBlocks:
    def test_are_listed_and_told_to_nobody_else(self, api: Api, talk: Talk, stranger: Member, at: Moment) -> None:
        before = EventRow.objects.count()
        for _ in range(2):
            assert api.as_(talk.bo).post(f"/users/{talk.ana.id}/block/").status == 204
        at.forward(minutes=1)
        assert api.as_(talk.bo).post(f"/users/{stranger.id}/block/").status == 204
        listed = api.as_(talk.bo).get("/me/blocks/").body
        assert listed["results"] == [
            {"user": {"id": stranger.id, "name": "Stranger"}, "created_at": "2030-05-15T09:31:00Z"},
            {"user": {"id": talk.ana.id, "name": "Ana"}, "created_at": "2030-05-15T09:30:00Z"},
        ]
        assert api.as_(talk.ana).get("/me/blocks/").body["results"] == []
        new = EventRow.objects.order_by("id")[before:]
        assert [(row.room, row.type) for row in new] == [(f"user:{talk.bo.id}", "access.changed")]
        assert realtime.heads_of([f"user:{talk.ana.id}"]) == {f"user:{talk.ana.id}": 0}

    def test_nobody_blocks_themselves_or_nobody(self, api: Api, stranger: Member) -> None:
        assert api.as_(stranger).post(f"/users/{stranger.id}/block/").status == 422
        assert api.as_(stranger).post(f"/users/{10**15}/block/").status == 404
        assert api.as_(stranger).delete(f"/users/{10**15}/block/").status == 404
        assert not Block.objects.exists()
