"""Sending a message by the fast lane: what the ordinary way does and answers, once."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError
from django.urls import resolve
from pytest_django import DjangoAssertNumQueries

from backend.config.wsgi import application
from backend.core import fast_lane, limits
from backend.core.environment import environment
from backend.core.limits import Limit
from backend.core.models import EventRow
from backend.messaging import hot
from backend.messaging.models import Conversation, Message
from tests.backend.messaging.conftest import Talk, broken
from tests.conftest import Moment
from tests.support.fast_lane import ask, took_the_lane
from tests.support.people import Member

pytestmark = pytest.mark.django_db

PLAIN: dict[str, Any] = {"content": "On my way \u202e 🚚", "client_id": "m-1"}
SIDECAR = fast_lane._CREDENTIAL


def body(**changed: Any) -> bytes:
    """A plain message, changed so; None leaves a field out."""
    return json.dumps({name: value for name, value in {**PLAIN, **changed}.items() if value is not None}).encode()


class TestSend:
    def test_does_and_answers_what_the_ordinary_way_does(self, talk: Talk, group: Talk, at: Moment) -> None:
        """In either order it is said once. Seen red with the request's id left out."""
        assert resolve(f"/api/v1{talk.path}").route in fast_lane._operations["POST"]
        said = talk.say(talk.bo, "Where are you?", at)
        for number, (where, more) in enumerate(((talk, {}), (talk, {"reply_to": said.id}), (group, {}))):
            before = EventRow.objects.count()
            sent = body(client_id=f"m-{number}", **more)
            assert took_the_lane(where.path, where.ana, "", sent, bool(number % 2))
            message = Message.objects.get(client_id=f"m-{number}")
            assert (message.content, message.sender_id) == (PLAIN["content"], where.ana.id)
            written = EventRow.objects.order_by("pk")[before:]
            assert {row.request_id for row in written} == {"asked-twice"}
        assert broken(at) == set()

    @pytest.mark.parametrize(
        ("changed", "more"),
        [
            ({}, {"HTTP_ORIGIN": "https://app.example.org"}),
            ({}, {SIDECAR: "not the sidecar's"}),
            ({}, {"HTTP_HOST": "elsewhere.example.org"}),
            ({}, {"QUERY_STRING": "a=1"}),
            ({}, {"CONTENT_TYPE": "text/plain"}),
            ({"content": "x" * 4001}, {}),
            ({"content": " "}, {}),
            ({"content": 7}, {}),
            ({"reply_to": 10**9}, {}),
            ({"attachments": [10**9]}, {}),
            ({"more": 1}, {}),
        ],
    )
    def test_whatever_else_comes_goes_the_ordinary_way(
        self, talk: Talk, changed: dict[str, Any], more: dict[str, str]
    ) -> None:
        """Seen red with any of them let in."""
        assert not took_the_lane(talk.path, talk.ana, "", body(**changed), **more)
        assert Message.objects.count() <= 1

    def test_what_has_no_name_and_what_has_a_key_goes_the_ordinary_way(self, talk: Talk, at: Moment) -> None:
        """What has no name might be said twice; a key's answer is kept. Seen red with both let in."""
        nameless = fast_lane.Asked(talk.ana.id, talk.ana.session.pk, at.now, "", talk.id, "")
        assert hot.send(nameless, {"content": "Hello"}) is None
        for number, sent in enumerate((body(client_id=None), body()), start=1):
            for replayed in (None, "true"):
                _, headers, _ = ask(application, talk.path, talk.ana, "", sent, HTTP_IDEMPOTENCY_KEY=f"k-{number}")
                assert headers.get("idempotent-replayed") == replayed
            assert Message.objects.count() == number

    def test_whoever_may_not_speak_goes_the_ordinary_way(self, talk: Talk, stranger: Member, at: Moment) -> None:
        assert not took_the_lane(talk.path, None, "", body())
        assert not took_the_lane(talk.path, stranger, "", body())
        assert not took_the_lane("/conversations/999999/messages/", stranger, "", body())
        type(talk.bo.session).objects.filter(pk=talk.bo.session.pk).update(expires_at=at.now - timedelta(seconds=1))
        assert not took_the_lane(talk.path, talk.bo, "", body())
        Conversation.objects.filter(pk=talk.id).update(closed_at=at.now)
        assert not took_the_lane(talk.path, talk.ana, "", body())
        assert not Message.objects.exists()

    def test_the_sidecar_s_word_for_the_address_is_taken(self, talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
        """Seen red with the first of the addresses, which the client may have invented."""
        counted: list[list[tuple[Limit, str]]] = []
        monkeypatch.setattr(limits, "check", counted.append)
        trusted = {SIDECAR: environment().realtime_credential, "HTTP_HOST": "backend.inside"}
        assert took_the_lane(talk.path, talk.ana, "", body(), HTTP_X_FORWARDED_FOR="203.0.113.9, 10.0.0.7", **trusted)
        assert [[whose for _, whose in asked] for asked in counted] == [["10.0.0.7", str(talk.ana.id)]] * 2

    def test_what_may_have_been_done_is_said_once(self, talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
        """As when the connection breaks at the commit: it is sent again the ordinary way."""

        def break_off(*args: Any) -> Any:
            send(*args)
            raise DatabaseError("the connection is closed")

        send = hot.send
        write = fast_lane.HotWrite(next(iter(fast_lane._operations["POST"].values())).path, "x", break_off)
        monkeypatch.setitem(fast_lane._operations, "POST", {"x": write})
        assert ask(application, talk.path, talk.ana, "", body())[0] == "201 Created"
        assert Message.objects.count() == 1

    def test_is_two_statements_and_a_transaction(
        self, talk: Talk, at: Moment, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        with django_assert_num_queries(2 + 2):
            ask(application, talk.path, talk.ana, "", body())
