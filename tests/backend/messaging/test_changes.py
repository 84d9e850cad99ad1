"""Messages changed and taken back; read and received; muted."""

from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from backend.messaging import public
from backend.messaging.models import Conversation, Message
from backend.messaging.models import Member as Stay
from backend.messaging.services import messages, receipts
from tests.backend.messaging.conftest import Talk, broken, lists_of
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.people import Member

pytestmark = pytest.mark.django_db


MUCH_MORE = """
    INSERT INTO messaging_message (conversation_id, sender_id, content, created_at, is_withheld, position)
    SELECT conversation_id, sender_id, content, created_at, is_withheld, position
    FROM messaging_message, generate_series(1, 5000) WHERE id = %s
"""


def stay_of(talk: Talk, who: Member) -> Stay:
    return Stay.objects.get(conversation_id=talk.id, user_id=who.id, left_at=None)


def rows_read(plan: dict[str, Any]) -> int:
    """By the leaves of a plan that was run, with those that a filter threw away."""
    inner = [rows_read(part) for part in plan.get("Plans", ())]
    return sum(inner) if inner else round(plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0))


class TestEditMessage:
    def test_says_something_else_and_tells_the_room_and_the_lists(self, api: Api, talk: Talk, at: Moment) -> None:
        said = talk.say(talk.ana, "Tomorow", at)
        at.forward(minutes=15)
        edited = api.as_(talk.ana).patch(f"/messages/{said.id}/", {"content": "Tomorrow"})
        assert (edited.status, edited.headers["ETag"]) == (200, '"2"')
        assert edited.body == {
            **said.model_dump(mode="json"),
            "content": "Tomorrow",
            "version": 2,
            "edited_at": "2030-05-15T09:45:00Z",
        }
        assert talk.events()[-1] == ("message.updated", {"message": edited.body})
        assert lists_of(talk.bo)[-1] == (talk.id, 1, "Tomorrow")

    def test_the_same_words_change_nothing(self, api: Api, talk: Talk, at: Moment) -> None:
        said = talk.say(talk.ana, "Tomorrow", at)
        assert api.as_(talk.ana).patch(f"/messages/{said.id}/", {"content": "Tomorrow"}).body["version"] == 1
        assert talk.events()[-1][0] == "message.created"

    def test_is_for_its_sender_within_fifteen_minutes_and_while_it_stands(
        self, api: Api, talk: Talk, stranger: Member, at: Moment
    ) -> None:
        """Seen red without the comparison with fifteen minutes."""
        said = talk.say(talk.ana, "Tomorrow", at)

        def edit(who: Member, content: str = "Never", **headers: str) -> tuple[int, str]:
            answer = api.as_(who).with_headers(**headers).patch(f"/messages/{said.id}/", {"content": content})
            return answer.status, answer.code

        assert edit(talk.bo) == (403, "forbidden")
        assert edit(stranger) == (404, "not_found")
        assert edit(talk.ana, " ") == (422, "validation_failed")
        assert edit(talk.ana, If_Match='"2"') == (412, "precondition_failed")
        at.forward(minutes=15, seconds=1)
        assert edit(talk.ana) == (409, "message_fixed")
        api.as_(talk.ana).delete(f"/messages/{said.id}/")
        assert edit(talk.ana) == (409, "message_fixed")
        assert Message.objects.get().version == 2


class TestDeleteMessage:
    def test_leaves_a_mark_and_is_unread_no_more(self, api: Api, talk: Talk, at: Moment) -> None:
        """Seen red with unread counts left alone."""
        said = [talk.say(talk.ana, word, at) for word in ("One", "Two", "Three")]
        api.as_(talk.bo).post(f"/conversations/{talk.id}/read/", {"message_id": said[0].id})
        for message in said[:2]:
            for _ in range(2):
                assert api.as_(talk.ana).delete(f"/messages/{message.id}/").status == 204
        shown = api.as_(talk.bo).get(talk.path, order="oldest").body["results"]
        assert [(row["content"], row["deleted_at"], row["version"]) for row in shown] == [
            ("", "2030-05-15T09:30:00Z", 2),
            ("", "2030-05-15T09:30:00Z", 2),
            ("Three", None, 1),
        ]
        assert stay_of(talk, talk.bo).unread_count == 1
        assert [type_ for type_, _ in talk.events()].count("message.updated") == 2
        assert lists_of(talk.bo)[-1] == (talk.id, 1, "Three")
        assert broken(at) == set()

    def test_is_for_its_sender(self, api: Api, talk: Talk, stranger: Member, at: Moment) -> None:
        said = talk.say(talk.ana, "Tomorrow", at)
        assert api.as_(talk.bo).delete(f"/messages/{said.id}/").status == 403
        assert api.as_(stranger).delete(f"/messages/{said.id}/").status == 404
        assert Message.objects.get().content == "Tomorrow"


class TestReadAndDelivered:
    def test_one_watermark_moves_forward_and_is_told_once(self, api: Api, talk: Talk, at: Moment) -> None:
        said = [talk.say(talk.ana, word, at) for word in ("One", "Two", "Three")]
        bo = api.as_(talk.bo)
        for path, body in (
            ("delivered", {"message_id": said[1].id}),
            ("read", {"message_id": said[0].id}),
            ("read", {"message_id": said[0].id}),
            ("delivered", {"message_id": said[0].id}),
            ("read", {}),
            ("delivered", {}),
            ("read", {"message_id": said[1].id}),
        ):
            assert bo.post(f"/conversations/{talk.id}/{path}/", body).status == 204
        moved = {"conversation_id": talk.id, "user_id": talk.bo.id, "at": "2030-05-15T09:30:00Z"}
        assert talk.events()[5:] == [
            ("message.delivered", {**moved, "message_id": said[1].id}),
            ("message.read", {**moved, "message_id": said[0].id}),
            ("message.read", {**moved, "message_id": said[2].id}),
        ]
        assert [unread for _, unread, _ in lists_of(talk.bo)] == [1, 2, 3, 2, 0]
        shown = api.as_(talk.ana).get(f"/conversations/{talk.id}/").body["participants"][1]
        assert (shown["read_message_id"], shown["delivered_message_id"]) == (said[2].id, said[2].id)
        assert broken(at) == set()

    def test_count_what_is_left_without_counting_it(
        self, as_owner: None, group: Talk, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        """Of a hundred messages above the mark only one's own, and those taken back, are looked at.

        Seen red with messages of one's own not taken off, with taken back ones not, and with all of them counted.
        """
        assert group.cem is not None
        words = [(group.ana, "a"), (group.bo, "b"), (group.cem, "c")] * 4 + [(group.ana, "much")] * 90
        said = [group.say(who, word, at).id for who, word in words]
        public.send_system_message(conversation_id=group.id, code="x", text="Noted.", now=at.now)
        said.append(group.say(group.ana, "last", at).id)
        for who, place in ((group.ana, 3), (group.bo, 4), (group.cem, 8)):
            messages.delete_message(actor=who.actor, message_id=said[place], now=at.now)
        for place in (0, 1, 2, 3, 5, 8, 20, 101):
            changes_nothing = place in {1, 3}
            with django_assert_num_queries(8 if changes_nothing else 11):
                receipts.mark_read(actor=group.bo.actor, conversation_id=group.id, message_id=said[place], now=at.now)
            assert broken(at) == set()
        asked = {"said": 103, "user": group.bo.id, "read": said[0]}
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")
            cursor.execute(MUCH_MORE, [said[-1]])  # so many that no other plan comes near
            cursor.execute("ANALYZE messaging_message")
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {receipts.UNREAD}", asked)
            ((plan,),) = cursor.fetchall()
        assert rows_read(plan[0]["Plan"]) <= 1 + 4 + 3

    def test_ones_own_messages_are_never_unread(self, talk: Talk, at: Moment) -> None:
        talk.say(talk.ana, "One", at)
        assert (stay_of(talk, talk.ana).unread_count, stay_of(talk, talk.bo).unread_count) == (0, 1)

    def test_what_is_elsewhere_is_not_read_here(self, api: Api, talk: Talk, group: Talk, at: Moment) -> None:
        elsewhere = group.say(group.ana, "Elsewhere", at)
        for path in ("read", "delivered"):
            answer = api.as_(talk.bo).post(f"/conversations/{talk.id}/{path}/", {"message_id": elsewhere.id})
            assert (answer.status, list(answer.fields)) == (422, ["body.message_id"])
            assert api.as_(talk.bo).post(f"/conversations/{group.id}/{path}/", {}).status == 404
        assert stay_of(talk, talk.bo).delivered_message_id == 0


class TestMute:
    def test_is_ones_own_and_told_in_ones_own_list(self, api: Api, talk: Talk) -> None:
        path = f"/conversations/{talk.id}/mute/"
        assert [api.as_(talk.bo).put(path).status for _ in range(2)] == [204, 204]
        assert api.as_(talk.bo).get(f"/conversations/{talk.id}/").body["is_muted"]
        assert not api.as_(talk.ana).get(f"/conversations/{talk.id}/").body["is_muted"]
        assert api.as_(talk.bo).delete(path).status == 204
        assert (len(lists_of(talk.bo)), len(lists_of(talk.ana))) == (2, 0)


class TestClosing:
    def test_is_told_in_the_lists(self, talk: Talk, at: Moment) -> None:
        from backend.messaging import public

        public.close_conversation(conversation_id=talk.id, now=at.now)
        assert lists_of(talk.ana) == [(talk.id, 0, None)]
        assert Conversation.objects.get(pk=talk.id).closed_at == at.now
