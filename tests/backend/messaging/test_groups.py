"""Groups: who comes and goes, and how their lists follow."""

import pytest

from backend.core.models import JobRow
from backend.core.references import SUBJECT_PEOPLE
from backend.messaging import public
from backend.messaging.jobs import tell_members
from backend.messaging.models import Conversation
from tests.backend.messaging.conftest import MakeMember, Talk, broken, lists_of, told
from tests.conftest import Moment
from tests.support.api import Api
from tests.support.jobs import run_jobs
from tests.support.people import Member
from tests.support.world import everything

pytestmark = pytest.mark.django_db


def contents(api: Api, who: Member, talk: Talk) -> list[str]:
    return [row["content"] for row in api.as_(who).get(talk.path, order="oldest").body["results"]]


class TestMembers:
    def test_who_joins_sees_what_comes_from_then_on(self, api: Api, group: Talk, stranger: Member, at: Moment) -> None:
        """Seen red with `since_message_id` left at its default."""
        before = group.say(group.ana, "Before", at)
        added = api.as_(group.bo).post(f"/conversations/{group.id}/members/", {"user_ids": [stranger.id, group.bo.id]})
        assert (added.status, len(added.body["participants"])) == (200, 4)
        assert group.events()[-1] == ("member.added", {"user": {"id": stranger.id, "name": "Stranger"}})
        assert contents(api, stranger, group) == []
        assert api.as_(stranger).get(f"/messages/{before.id}/").status == 404
        for asked in ({}, {"search": "before"}):
            assert api.as_(stranger).get("/messages/", **asked).body["results"] == []
        assert api.as_(stranger).get("/conversations/").body["results"][0]["last_message"] is None
        assert api.as_(stranger).post(group.path, {"content": "Yes", "reply_to": before.id}).status == 422
        group.say(group.ana, "After", at)
        assert contents(api, stranger, group) == ["After"]
        assert [row["content"] for row in api.as_(stranger).get("/messages/").body["results"]] == ["After"]
        assert api.as_(stranger).get("/conversations/").body["results"][0]["unread_count"] == 1
        assert broken(at) == set()

    def test_who_leaves_sees_nothing_more_and_may_come_back(self, api: Api, group: Talk, at: Moment) -> None:
        assert group.cem is not None
        group.say(group.ana, "Before", at)
        assert api.as_(group.cem).delete(f"/conversations/{group.id}/members/{group.cem.id}/").status == 204
        assert group.events()[-1] == ("member.removed", {"user": {"id": group.cem.id, "name": "Cem"}})
        assert told(f"user:{group.cem.id}")[-1][1]["is_member"] is False
        group.say(group.ana, "Without Cem", at)
        for path in (group.path, f"/conversations/{group.id}/"):
            assert api.as_(group.cem).get(path).status == 404
        assert api.as_(group.cem).get("/messages/").body["results"] == []
        body = {"participants": [group.ana.id, group.bo.id], "title": "Kitchen"}
        assert api.as_(group.cem).post("/conversations/", body).body["id"] == group.id
        group.say(group.ana, "Again", at)
        assert contents(api, group.cem, group) == ["Again"]
        assert broken(at) == set()

    def test_whoever_opened_it_takes_others_out_for_good(self, api: Api, group: Talk) -> None:
        assert group.cem is not None
        path = f"/conversations/{group.id}/members/"
        refused = api.as_(group.bo).delete(f"{path}{group.cem.id}/")
        assert (refused.status, refused.code) == (403, "forbidden")
        assert api.as_(group.ana).delete(f"{path}{group.cem.id}/").status == 204
        assert api.as_(group.ana).delete(f"{path}{group.cem.id}/").status == 404
        body = {"participants": [group.ana.id, group.bo.id], "title": "Kitchen"}
        back = api.as_(group.cem).post("/conversations/", body)
        assert (back.status, back.code) == (409, "conversation_left")

    def test_two_stay_two(self, api: Api, talk: Talk, stranger: Member) -> None:
        for answer in (
            api.as_(talk.ana).post(f"/conversations/{talk.id}/members/", {"user_ids": [stranger.id]}),
            api.as_(talk.ana).delete(f"/conversations/{talk.id}/members/{talk.ana.id}/"),
        ):
            assert (answer.status, answer.code) == (409, "conversation_of_two")
        assert api.as_(talk.bo).get(f"/conversations/{talk.id}/").body["participants"][0]["id"] == talk.ana.id

    def test_a_hundred_are_enough(self, api: Api, group: Talk, member: MakeMember, at: Moment) -> None:
        people = [member("client").id for _ in range(98)]
        path = f"/conversations/{group.id}/members/"
        full = api.as_(group.ana).post(path, {"user_ids": people})
        assert (full.status, full.code) == (409, "conversation_full")
        added = api.as_(group.ana).post(path, {"user_ids": people[1:]})
        assert len(added.body["participants"]) == 100
        assert api.as_(group.ana).post(path, {"user_ids": [10**15]}).fields == {"body.user_ids": "validation_failed"}


class TestAboutASubject:
    @pytest.mark.parametrize("kind", ["booking", "assistance"])
    def test_a_stranger_is_let_in_by_nobody(
        self, api: Api, member: MakeMember, stranger: Member, at: Moment, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        """Whoever has to do with it is. Seen red with the subject's module not asked."""
        ana, bo, cem, dan = (member("client", name=name) for name in ("Ana", "Bo", "Cem", "Dan"))
        concerned = frozenset({ana.id, bo.id, cem.id, dan.id})
        monkeypatch.setitem(SUBJECT_PEOPLE._answers, kind, lambda _: concerned)
        people = [ana.id, bo.id, cem.id]
        talk = public.open_conversation(actor=ana.actor, subject=f"{kind}:7", user_ids=people, now=at.now)
        path = f"/conversations/{talk.id}/members/"
        before = everything()
        refused = api.as_(ana).post(path, {"user_ids": [dan.id, stranger.id]})
        assert (refused.status, list(refused.fields)) == (422, ["body.user_ids"])
        assert everything() == before
        assert len(api.as_(ana).post(path, {"user_ids": [dan.id]}).body["participants"]) == 4


class TestTellMembers:
    def test_tells_a_group_at_most_once_a_second(self, group: Talk, at: Moment) -> None:
        """Seen red with a job for every message."""
        run_jobs("messaging.tell_members")
        for number in range(5):
            group.say(group.ana, f"{number}", at)
        (job,) = JobRow.objects.filter(name="messaging.tell_members", status="pending")
        assert (job.run_at - at.now).total_seconds() == 1
        at.forward(seconds=1)
        run_jobs("messaging.tell_members")
        assert lists_of(group.bo) == [(group.id, 0, None), (group.id, 5, "4")]
        assert lists_of(group.ana)[-1] == (group.id, 0, "4")
        assert Conversation.objects.get(pk=group.id).news_at is None
        assert broken(at) == set()

    def test_twice_is_once(self, group: Talk, at: Moment) -> None:
        run_jobs("messaging.tell_members")
        before = lists_of(group.bo)
        tell_members(now=at.now, conversation_id=group.id, added_later=1)
        tell_members(now=at.now, conversation_id=10**15)
        assert lists_of(group.bo) == before

    def test_a_job_that_was_given_up_is_replaced(self, group: Talk, at: Moment) -> None:
        JobRow.objects.filter(name="messaging.tell_members").update(status="dead")
        at.forward(minutes=3)
        group.say(group.ana, "Hello", at)
        run_jobs("messaging.tell_members")
        assert lists_of(group.bo) == [(group.id, 1, "Hello")]
