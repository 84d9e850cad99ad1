"""Conversations opened, listed and searched over the API."""

import pytest
from pytest_django import DjangoAssertNumQueries

from backend.core.references import SUBJECT_PEOPLE
from backend.messaging import public
from backend.messaging.models import Conversation
from backend.messaging.selectors import messages
from tests.backend.messaging.conftest import MakeMember, Talk, broken, lists_of
from tests.conftest import Moment
from tests.support.api import Answer, Api
from tests.support.people import Member

pytestmark = pytest.mark.django_db


def ids(answer: Answer) -> list[int]:
    return [row["id"] for row in answer.body["results"]]


class TestOpenConversation:
    def test_shows_it_to_both_and_in_both_lists(self, api: Api, stranger: Member, member: MakeMember) -> None:
        other = member("client", name="Other")
        opened = api.as_(stranger).post("/conversations/", {"participants": [other.id], "title": " Kitchen "})
        assert opened.status == 201
        assert opened.body == {
            "id": opened.body["id"],
            "subject": None,
            "title": "Kitchen",
            "is_closed": False,
            "is_group": False,
            "is_muted": False,
            "opened_by": stranger.id,
            "participants": [
                {"id": who.id, "name": who.user.name, "read_message_id": None, "delivered_message_id": None}
                for who in (stranger, other)
            ],
            "last_message": None,
            "unread_count": 0,
            "created_at": opened.body["created_at"],
        }
        assert api.as_(other).get(f"/conversations/{opened.body['id']}/").body == opened.body
        assert lists_of(stranger) == lists_of(other) == [(opened.body["id"], 0, None)]

    def test_whoever_asks_again_gets_the_same(self, api: Api, stranger: Member, member: MakeMember) -> None:
        other = member("client")
        first = api.as_(stranger).post("/conversations/", {"participants": [other.id]})
        again = api.as_(other).post("/conversations/", {"participants": [stranger.id, other.id]})
        assert (again.status, again.body["id"], Conversation.objects.count()) == (201, first.body["id"], 1)

    def test_its_subject_says_who_may_talk_about_it(
        self, api: Api, member: MakeMember, stranger: Member, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        owner, worker = member("client"), member("freelancer")
        concerned = frozenset({owner.id, worker.id})
        monkeypatch.setitem(SUBJECT_PEOPLE._answers, "thing", lambda number: concerned if number == 7 else None)

        def ask(who: Member, other: Member, subject: str) -> Answer:
            return api.as_(who).post("/conversations/", {"participants": [other.id], "subject": subject})

        opened = ask(owner, worker, "thing:007")
        assert (opened.status, opened.body["subject"]) == (201, "thing:7")
        assert ask(worker, owner, "thing:7").body["id"] == opened.body["id"]
        assert (ask(stranger, owner, "thing:7").status, ask(owner, worker, "thing:8").status) == (404, 404)
        refused = ask(owner, stranger, "thing:7")
        assert (refused.status, list(refused.fields)) == (422, ["body.participants"])
        for subject in ("planet:1", "thing", "thing:-1", ""):
            answer = ask(owner, worker, subject)
            assert (answer.status, answer.code) == (422, "unknown_reference")
        assert Conversation.objects.count() == 1

    def test_refuses_to_talk_alone_or_with_nobody(self, api: Api, stranger: Member) -> None:
        for participants in ([], [stranger.id], [10**15], list(range(1, 101))):
            answer = api.as_(stranger).post("/conversations/", {"participants": participants})
            assert (answer.status, list(answer.fields)) == (422, ["body.participants"])
        assert not Conversation.objects.exists()


class TestListConversations:
    def test_where_something_was_said_last_comes_first(
        self, api: Api, talk: Talk, stranger: Member, at: Moment
    ) -> None:
        at.forward(minutes=1)
        later = public.open_conversation(actor=None, subject=None, user_ids=[talk.ana.id, stranger.id], now=at.now)
        assert ids(api.as_(talk.ana).get("/conversations/")) == [later.id, talk.id]
        at.forward(minutes=1)
        talk.say(talk.bo, "Hello", at)
        listed = api.as_(talk.ana).get("/conversations/").body["results"]
        assert [(row["id"], row["unread_count"], (row["last_message"] or {}).get("content")) for row in listed] == [
            (talk.id, 1, "Hello"),
            (later.id, 0, None),
        ]
        assert ids(api.as_(talk.ana).get("/conversations/", is_unread="true")) == [talk.id]
        assert ids(api.as_(talk.ana).get("/conversations/", is_unread="false")) == [later.id]
        assert ids(api.as_(talk.ana).get("/conversations/", subject="assistance:9")) == [talk.id]
        assert ids(api.as_(talk.bo).get("/conversations/")) == [talk.id]

    @pytest.mark.parametrize("count", [1, 10])
    def test_costs_the_same_however_many(
        self, api: Api, talk: Talk, at: Moment, count: int, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        for number in range(count):
            both = [talk.ana.id, talk.bo.id]
            opened = public.open_conversation(actor=None, subject=None, title=str(number), user_ids=both, now=at.now)
            public.send_message(actor=talk.bo.actor, conversation_id=opened.id, content="Hello", now=at.now)
        with django_assert_num_queries(6):
            assert len(ids(api.as_(talk.ana).get("/conversations/"))) == count + 1

    def test_is_empty_for_who_talks_to_nobody(self, api: Api, talk: Talk, stranger: Member) -> None:
        assert api.as_(stranger).get("/conversations/").body == {
            "count": 0,
            "next": None,
            "previous": None,
            "results": [],
        }
        assert api.as_(stranger).get(f"/conversations/{talk.id}/").status == 404


class TestOwnMessages:
    @pytest.fixture
    def said(self, talk: Talk, group: Talk, stranger: Member, at: Moment) -> list[int]:
        """Messages of three conversations of Bo's, in turn; one of somebody else's."""
        people = [talk.bo.id, group.cem.id if group.cem else 0]
        third = public.open_conversation(actor=None, subject=None, user_ids=people, now=at.now)
        foreign = public.open_conversation(actor=None, subject=None, user_ids=[stranger.id, group.ana.id], now=at.now)
        public.send_message(actor=stranger.actor, conversation_id=foreign.id, content="Petrol here?", now=at.now)
        talks = [talk.id, third.id, talk.id, talk.id, third.id, talk.id, third.id]
        return [
            public.send_message(
                actor=talk.bo.actor, conversation_id=number, content=f"Word{place} petrol", now=at.now
            ).id
            for place, number in enumerate(talks)
        ]

    def test_come_newest_first_over_all_conversations(self, api: Api, talk: Talk, said: list[int]) -> None:
        mine = api.as_(talk.bo)
        assert ids(mine.get("/messages/")) == said[::-1]
        first = mine.get("/messages/", page_size=3)
        second = mine.get(first.body["next"])
        third = mine.get(second.body["next"])
        assert (ids(first), ids(second), ids(third)) == (said[:3:-1], said[3:0:-1], said[:1])
        assert third.body["next"] is None
        assert ids(mine.get(third.body["previous"])) == ids(second)
        assert ids(mine.get(second.body["previous"])) == ids(first)

    @pytest.mark.parametrize("few", [0, 2000])
    def test_search_finds_words_in_ones_own_conversations(
        self, api: Api, talk: Talk, said: list[int], stranger: Member, few: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By the index of everybody's words, and word by word where one has few messages."""
        monkeypatch.setattr(messages, "FEW", few)
        mine = api.as_(talk.bo)
        assert ids(mine.get("/messages/", search="PETROL")) == said[::-1]
        assert ids(mine.get("/messages/", search="word3")) == [said[3]]
        assert ids(mine.get("/messages/", search="petrol -word3", page_size=2)) == [said[6], said[5]]
        assert ids(mine.get(talk.path, search="petrol")) == [said[5], said[3], said[2], said[0]]
        assert ids(mine.get("/messages/", search='"here petrol"')) == []
        assert ids(api.as_(talk.ana).get("/messages/", search="word1")) == []
        for odd in ("'); DROP", "\\", '"', "<->", ":*", "!!"):
            assert mine.get("/messages/", search=odd).status == 200

    def test_cost_the_same_however_many(
        self, api: Api, talk: Talk, said: list[int], django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        for size in (1, 7):
            with django_assert_num_queries(5):
                assert len(ids(api.as_(talk.bo).get("/messages/", page_size=size))) == size
            with django_assert_num_queries(5):
                assert len(ids(api.as_(talk.bo).get("/messages/", page_size=size, search="petrol"))) == size

    def test_one_is_read_by_members_only(
        self, api: Api, talk: Talk, said: list[int], stranger: Member, at: Moment
    ) -> None:
        answer = api.as_(talk.ana).get(f"/messages/{said[0]}/")
        assert (answer.status, answer.body["content"], answer.headers["ETag"]) == (200, "Word0 petrol", '"1"')
        assert api.as_(stranger).get(f"/messages/{said[0]}/").status == 404
        assert api.as_(talk.ana).get(f"/messages/{said[1]}/").status == 404
        public.remove_member(conversation_id=talk.id, user_id=talk.ana.id, now=at.now)
        assert api.as_(talk.ana).get(f"/messages/{said[0]}/").status == 404
        assert ids(api.as_(talk.ana).get("/messages/")) == []
        assert broken(at) == set()
