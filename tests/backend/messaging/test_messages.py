"""Saying something and reading it, over the API."""

from collections.abc import Callable

import pytest
from pytest_django import DjangoAssertNumQueries

from backend.messaging import public
from backend.messaging.models import Message
from tests.backend.messaging.conftest import Talk
from tests.conftest import Moment
from tests.support.api import Answer, Api
from tests.support.people import Member

pytestmark = pytest.mark.django_db


class TestSendMessage:
    def test_stores_it_and_tells_the_room(self, api: Api, talk: Talk) -> None:
        answer = api.as_(talk.ana).post(talk.path, {"content": " At the petrol station\n", "client_id": "a-1"})
        message = Message.objects.get()
        assert answer.status == 201
        assert answer.body == {
            "id": message.pk,
            "conversation_id": talk.id,
            "sender": {"id": talk.ana.id, "name": "Ana"},
            "content": " At the petrol station\n",
            "client_id": "a-1",
            "reply_to": None,
            "created_at": "2030-05-15T09:30:00Z",
            "attachments": [],
            "version": 1,
            "edited_at": None,
            "deleted_at": None,
            "system": None,
        }
        assert talk.events()[2:] == [("message.created", {"message": answer.body})]

    def test_replies_to_a_message_of_the_same_conversation(self, api: Api, talk: Talk) -> None:
        first = api.as_(talk.ana).post(talk.path, {"content": "Where are you?"}).body
        second = api.as_(talk.bo).post(talk.path, {"content": "Here", "reply_to": first["id"]}).body
        assert (second["reply_to"], second["sender"]["name"], second["client_id"]) == (first["id"], "Bo", None)
        assert second["id"] > first["id"]

    def test_refuses_a_reply_to_what_is_elsewhere(self, api: Api, talk: Talk, stranger: Member, at: Moment) -> None:
        other = public.open_conversation(actor=None, subject=None, user_ids=[talk.ana.id, stranger.id], now=at.now)
        elsewhere = public.send_message(actor=talk.ana.actor, conversation_id=other.id, content="Hello", now=at.now)
        for reply_to in (elsewhere.id, elsewhere.id + 1000):
            answer = api.as_(talk.ana).post(talk.path, {"content": "Yes", "reply_to": reply_to})
            assert (answer.status, answer.fields) == (422, {"body.reply_to": "validation_failed"})
        assert self.nothing_said(talk)

    def test_the_same_client_id_gives_the_message_stored_first(self, api: Api, talk: Talk) -> None:
        first = api.as_(talk.ana).post(talk.path, {"content": "One", "client_id": "a-1"})
        second = api.as_(talk.ana).post(talk.path, {"content": "Two", "client_id": "a-1"})
        assert (second.status, second.body) == (201, first.body)
        assert len(talk.events()) == 3
        assert Message.objects.count() == 1

    def test_a_client_id_is_its_senders_own(self, api: Api, talk: Talk) -> None:
        for person in (talk.ana, talk.bo):
            assert api.as_(person).post(talk.path, {"content": "Hello", "client_id": "a-1"}).status == 201
        assert Message.objects.count() == 2

    def test_without_a_client_id_everything_said_is_new(self, api: Api, talk: Talk) -> None:
        ids = {api.as_(talk.ana).post(talk.path, {"content": "Hello"}).body["id"] for _ in range(2)}
        assert len(ids) == 2

    def test_a_closed_conversation_is_read_only(self, api: Api, talk: Talk, at: Moment) -> None:
        said = api.as_(talk.ana).post(talk.path, {"content": "Bye", "client_id": "a-1"})
        public.close_conversation(conversation_id=talk.id, now=at.now)
        answer = api.as_(talk.bo).post(talk.path, {"content": "Wait"})
        assert (answer.status, answer.code) == (409, "conversation_closed")
        assert len(talk.events()) == 3
        assert [row["content"] for row in api.as_(talk.bo).get(talk.path).body["results"]] == ["Bye"]
        assert api.as_(talk.ana).post(talk.path, {"content": "Bye", "client_id": "a-1"}).body == said.body

    @pytest.mark.parametrize("roles", [("client",), ("manager",), ("admin",)])
    def test_is_not_found_by_others_managers_included(
        self, api: Api, talk: Talk, member: Callable[..., Member], roles: tuple[str, ...]
    ) -> None:
        answer = api.as_(member(*roles)).post(talk.path, {"content": "Hello"})
        assert (answer.status, answer.code) == (404, "not_found")
        assert self.nothing_said(talk)

    def test_asks_who_speaks(self, api: Api, talk: Talk) -> None:
        assert api.post(talk.path, {"content": "Hello"}).status == 401
        assert api.get(talk.path).status == 401
        assert self.nothing_said(talk)

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({}, "content"),
            ({"content": ""}, "content"),
            ({"content": " \n\t\u2003"}, "content"),
            ({"content": "x" * 4001}, "content"),
            ({"content": "a\x00b"}, "content"),
            ({"content": None}, "content"),
            ({"content": "x", "client_id": ""}, "client_id"),
            ({"content": "x", "client_id": "x" * 65}, "client_id"),
            ({"content": "x", "client_id": "a b"}, "client_id"),
            ({"content": "x", "reply_to": 0}, "reply_to"),
            ({"content": "x", "reply_to": 2**63}, "reply_to"),
            ({"content": "x", "sender": 1}, "sender"),
        ],
    )
    def test_refuses_what_is_no_message(self, api: Api, talk: Talk, body: dict[str, object], field: str) -> None:
        answer = api.as_(talk.ana).post(talk.path, body)
        assert answer.status == 422
        assert list(answer.fields) == [f"body.{field}"]
        assert self.nothing_said(talk)

    def test_refuses_half_a_character(self, api: Api, talk: Talk) -> None:
        answer = api.as_(talk.ana).raw("POST", talk.path, rb'{"content": "\ud83d"}')
        assert (answer.status, list(answer.fields)) == (422, ["body.content"])
        assert self.nothing_said(talk)

    def test_takes_four_thousand_characters_of_any_script(self, api: Api, talk: Talk) -> None:
        answer = api.as_(talk.ana).post(talk.path, {"content": "🚗" * 4000})
        assert (answer.status, len(answer.body["content"])) == (201, 4000)

    def test_an_idempotency_key_gives_the_first_answer_again(self, api: Api, talk: Talk) -> None:
        keyed = api.as_(talk.ana).with_headers(Idempotency_Key="k-1")
        first, second = (keyed.post(talk.path, {"content": "Hello"}) for _ in range(2))
        assert (second.status, second.body) == (201, first.body)
        assert Message.objects.count() == 1

    def test_costs_a_fixed_number_of_queries(
        self, api: Api, talk: Talk, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        first = api.as_(talk.ana).post(talk.path, {"content": "First"}).body["id"]
        # session, savepoint, its release, the lock and who is there, what it replies to, what is said and told
        with django_assert_num_queries(6):
            api.as_(talk.ana).post(talk.path, {"content": "Hello", "client_id": "a-1", "reply_to": first})

    @staticmethod
    def nothing_said(talk: Talk) -> bool:
        return not Message.objects.filter(conversation_id=talk.id).exists() and len(talk.events()) == 2


class TestListMessages:
    @pytest.fixture
    def said(self, talk: Talk, at: Moment) -> list[str]:
        contents = [f"Message {number}" for number in range(5)]
        for number, content in enumerate(contents):
            speaker = (talk.ana, talk.bo)[number % 2]
            public.send_message(actor=speaker.actor, conversation_id=talk.id, content=content, now=at.now)
        return contents

    def test_gives_the_newest_first_in_parts(self, api: Api, talk: Talk, said: list[str]) -> None:
        first = api.as_(talk.bo).get(talk.path, page_size=3)
        assert first.status == 200
        assert self.contents(first) == said[:1:-1]
        assert first.body["previous"] is None
        assert first.body["results"][0]["sender"] == {"id": talk.ana.id, "name": "Ana"}
        rest = api.as_(talk.bo).get(first.body["next"])
        assert self.contents(rest) == said[1::-1]
        assert rest.body["next"] is None
        assert self.contents(api.as_(talk.bo).get(rest.body["previous"])) == said[:1:-1]

    def test_gives_the_oldest_first_when_asked(self, api: Api, talk: Talk, said: list[str]) -> None:
        first = api.as_(talk.ana).get(talk.path, order="oldest", page_size=3)
        assert self.contents(first) == said[:3]
        assert self.contents(api.as_(talk.ana).get(first.body["next"])) == said[3:]

    def test_what_is_said_meanwhile_does_not_shift_it(self, api: Api, talk: Talk, said: list[str], at: Moment) -> None:
        first = api.as_(talk.bo).get(talk.path, page_size=3)
        public.send_message(actor=talk.ana.actor, conversation_id=talk.id, content="New", now=at.now)
        assert self.contents(api.as_(talk.bo).get(first.body["next"])) == said[1::-1]

    def test_shows_a_system_message_without_a_sender(self, api: Api, talk: Talk, at: Moment) -> None:
        public.send_system_message(
            conversation_id=talk.id,
            code="assistance.accepted",
            text="Bo is on the way.",
            parameters={"assistant": "Bo"},
            now=at.now,
        )
        (shown,) = api.as_(talk.ana).get(talk.path).body["results"]
        assert (shown["sender"], shown["content"]) == (None, "Bo is on the way.")
        assert shown["system"] == {"code": "assistance.accepted", "parameters": {"assistant": "Bo"}}
        assert api.as_(talk.ana).get("/conversations/").body["results"][0]["unread_count"] == 0

    def test_shows_nothing_of_other_conversations(
        self, api: Api, talk: Talk, said: list[str], stranger: Member, at: Moment
    ) -> None:
        other = public.open_conversation(actor=None, subject=None, user_ids=[talk.ana.id, stranger.id], now=at.now)
        assert api.as_(talk.ana).get(f"/conversations/{other.id}/messages/").body == {
            "next": None,
            "previous": None,
            "results": [],
        }

    @pytest.mark.parametrize("roles", [("client",), ("manager",), ("admin",)])
    def test_is_not_found_by_others_managers_included(
        self, api: Api, talk: Talk, member: Callable[..., Member], roles: tuple[str, ...]
    ) -> None:
        other = api.as_(member(*roles))
        missing = other.get(f"/conversations/{talk.id + 1000}/messages/")
        for answer in (other.get(talk.path), missing):
            assert (answer.status, answer.code) == (404, "not_found")

    def test_is_not_found_by_whoever_was_removed(self, api: Api, talk: Talk, said: list[str], at: Moment) -> None:
        public.remove_member(conversation_id=talk.id, user_id=talk.bo.id, now=at.now)
        assert api.as_(talk.bo).get(talk.path).status == 404
        assert self.contents(api.as_(talk.ana).get(talk.path)) == said[::-1]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ({"order": "random"}, "query.order"),
            ({"cursor": "nonsense"}, "query.cursor"),
            ({"page_size": 101}, "query.page_size"),
            ({"sender": 1}, "query.sender"),
        ],
    )
    def test_refuses_other_filters(self, api: Api, talk: Talk, query: dict[str, object], field: str) -> None:
        answer = api.as_(talk.ana).get(talk.path, **query)
        assert (answer.status, list(answer.fields)) == (422, [field])

    @pytest.mark.parametrize("page_size", [1, 5])
    def test_costs_five_queries_whatever_its_length(
        self,
        api: Api,
        talk: Talk,
        said: list[str],
        page_size: int,
        django_assert_num_queries: DjangoAssertNumQueries,
    ) -> None:
        with django_assert_num_queries(5):
            assert len(self.contents(api.as_(talk.ana).get(talk.path, page_size=page_size))) == page_size

    @staticmethod
    def contents(answer: Answer) -> list[str]:
        return [row["content"] for row in answer.body["results"]]
