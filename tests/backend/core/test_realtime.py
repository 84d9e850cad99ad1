"""What the sidecar asks: joins, heads, events.

Seen red with the bug planted: a join that asks only whether there is such a room.
"""

from datetime import UTC, datetime
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from backend.core import epoch, realtime
from backend.core.environment import environment
from backend.core.models import Epoch, EventRow, RoomHead
from backend.core.references import ROOM_ACCESS, RoomAccess
from backend.core.request_context import caused_by
from shared_contracts.internal import (
    CREDENTIAL_HEADER,
    MAX_MISSED_BYTES,
    MAX_MISSED_EVENTS,
    EventsRequest,
    JoinRequest,
    JoinResult,
    RoomContext,
)
from shared_contracts.rooms import partition_of
from tests.support.api import Api
from tests.support.people import Member, make_member

pytestmark = pytest.mark.django_db
NOW = datetime(2030, 1, 1, tzinfo=UTC)


def fill(room: str, count: int, *, size: int = 10, first: int = 1) -> None:
    """Numbered events, as the relay leaves them."""
    EventRow.objects.bulk_create(
        EventRow(
            room=room,
            partition=partition_of(room),
            number=number,
            type="access.changed",
            data=f'{{"n":{number},"pad":"{"x" * size}"}}',
            request_id="r",
            created_at=NOW,
        )
        for number in range(first, count + 1)
    )
    RoomHead.objects.update_or_create(room=room, defaults={"head": count})


def join(member: Member, room: str, cursor: str | None = None) -> JoinResult:
    asked = JoinRequest(session_id=member.session.pk, user_id=member.id, room=room, cursor=cursor)
    (result,) = realtime.judge_joins([asked])
    return result


def cursor(number: int) -> str:
    return f"{epoch.current()}.{number}"


@pytest.fixture
def anna() -> Member:
    return make_member()


class TestJudgeJoins:
    def test_a_person_is_in_their_own_room_and_in_no_one_else_s(self, anna: Member) -> None:
        assert join(anna, f"user:{anna.id}").allowed
        refused = join(anna, f"user:{anna.id + 1}")
        assert (refused.allowed, refused.code) == (False, "not_found")

    def test_what_is_no_room_is_said_to_be_none(self, anna: Member) -> None:
        assert join(anna, "user:1 OR 1=1").code == "unknown_room"

    def test_an_ended_session_is_in_no_room(self, anna: Member) -> None:
        anna.session.ended_at = NOW
        anna.session.save()
        result = join(anna, f"user:{anna.id}")
        assert (result.allowed, result.session_ended, result.code) == (False, True, "session_ended")

    def test_somebody_else_s_session_is_none(self, anna: Member) -> None:
        other = make_member()
        asked = JoinRequest(session_id=other.session.pk, user_id=anna.id, room=f"user:{anna.id}")
        (result,) = realtime.judge_joins([asked])
        assert not result.allowed

    def test_without_a_cursor_nothing_is_missed(self, anna: Member) -> None:
        room = f"user:{anna.id}"
        fill(room, 5)
        result = join(anna, room)
        assert (result.head, result.cursor, result.events, result.resync_required) == (5, cursor(5), [], False)

    def test_a_cursor_gives_exactly_what_was_missed_in_order(self, anna: Member) -> None:
        room = f"user:{anna.id}"
        fill(room, 5)
        result = join(anna, room, cursor(2))
        assert [event["number"] for event in result.events] == [3, 4, 5]
        assert result.events[0] == {
            "room": room,
            "number": 3,
            "epoch": epoch.current(),
            "type": "access.changed",
            "at": "2030-01-01T00:00:00+00:00",
            "request_id": "r",
            "data": {"n": 3, "pad": "x" * 10},
        }
        assert (result.cursor, result.more, result.resync_required) == (cursor(5), False, False)

    def test_what_does_not_fit_comes_with_the_next_join(self, anna: Member) -> None:
        room = f"user:{anna.id}"
        fill(room, 400, size=1000)
        seen: list[int] = []
        at = cursor(0)
        for _ in range(10):
            result = join(anna, room, at)
            assert len(str(result.events)) < 2 * MAX_MISSED_BYTES
            seen += [event["number"] for event in result.events]
            assert result.cursor is not None
            at = result.cursor
            if not result.more:
                break
        assert seen == list(range(1, 401))

    @pytest.mark.parametrize("missed", [MAX_MISSED_EVENTS, MAX_MISSED_EVENTS + 1])
    def test_more_than_a_thousand_missed_is_a_resync(self, anna: Member, missed: int) -> None:
        room = f"user:{anna.id}"
        fill(room, missed)
        result = join(anna, room, cursor(0))
        assert result.allowed
        assert result.resync_required is (missed > MAX_MISSED_EVENTS)
        if result.resync_required:
            assert (result.events, result.cursor) == ([], cursor(missed))

    def test_what_was_purged_is_a_resync(self, anna: Member) -> None:
        room = f"user:{anna.id}"
        fill(room, 9, first=4)
        assert join(anna, room, cursor(1)).resync_required
        assert not join(anna, room, cursor(3)).resync_required

    @pytest.mark.parametrize("bad", ["other.3", "3", "", "x.-1", "x.99999999999999999999"])
    def test_a_cursor_of_another_life_or_none_at_all_is_a_resync(self, anna: Member, bad: str) -> None:
        room = f"user:{anna.id}"
        fill(room, 5)
        result = join(anna, room, bad)
        assert (result.allowed, result.resync_required, result.cursor) == (True, True, cursor(5))

    def test_a_cursor_ahead_of_the_room_is_a_resync(self, anna: Member) -> None:
        assert join(anna, f"user:{anna.id}", cursor(8)).resync_required

    def test_asks_the_same_number_of_queries_for_one_join_and_for_many(
        self, anna: Member, django_assert_num_queries: DjangoAssertNumQueries
    ) -> None:
        people = [anna, *(make_member() for _ in range(5))]
        asked = [JoinRequest(session_id=p.session.pk, user_id=p.id, room=f"user:{p.id}") for p in people]
        for count in (1, 6):
            with django_assert_num_queries(4):
                realtime.judge_joins(asked[:count])


class TestFirstNumber:
    """A person sees a room from their own `member.added` on."""

    @pytest.fixture
    def gate(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, int | None]:
        added: dict[str, int | None] = {"event": None}

        def gate(seekers: Any) -> list[RoomAccess]:
            context = RoomContext(status="accepted", party=True)
            return [RoomAccess(allowed=True, added_event_id=added["event"], context=context) for _ in seekers]

        monkeypatch.setitem(ROOM_ACCESS._answers, "assistance", gate)
        return added

    def test_is_the_number_of_their_own_arrival(self, anna: Member, gate: dict[str, int | None]) -> None:
        fill("assistance:1", 9)
        gate["event"] = EventRow.objects.get(room="assistance:1", number=4).pk
        result = join(anna, "assistance:1", cursor(1))
        assert (result.first, [event["number"] for event in result.events]) == (4, [4, 5, 6, 7, 8, 9])
        assert result.context == RoomContext(status="accepted", party=True)

    def test_is_the_next_one_while_the_arrival_has_no_number(self, anna: Member, gate: dict[str, int | None]) -> None:
        fill("assistance:1", 9)
        arrival = EventRow.objects.create(
            room="assistance:1", partition=0, type="member.added", data="{}", request_id="", created_at=NOW
        )
        gate["event"] = arrival.pk
        result = join(anna, "assistance:1", cursor(1))
        assert (result.first, result.events) == (10, [])

    def test_leaves_out_what_waits_for_its_number_before_the_arrival(
        self, anna: Member, gate: dict[str, int | None]
    ) -> None:
        fill("assistance:1", 9)
        waiting = [
            EventRow(room=room, partition=0, type="member.added", data="{}", request_id="", created_at=NOW)
            for room in ("assistance:1", "assistance:2", "assistance:1", "assistance:1", "assistance:1")
        ]
        EventRow.objects.bulk_create(waiting)
        gate["event"] = waiting[3].pk
        for at in (None, cursor(1), cursor(11)):
            result = join(anna, "assistance:1", at)
            assert (result.first, result.head, result.events) == (12, 9, [])
            assert (result.cursor, result.resync_required) == (cursor(11), False)

    def test_is_all_that_is_kept_when_the_arrival_was_purged(self, anna: Member, gate: dict[str, int | None]) -> None:
        fill("assistance:1", 9, first=5)
        gate["event"] = 10**12
        assert join(anna, "assistance:1", cursor(6)).first == 1


class TestInternalEndpoints:
    @pytest.fixture
    def sidecar(self) -> Api:
        return Api().with_headers(**{CREDENTIAL_HEADER: environment().realtime_credential})

    @pytest.mark.parametrize("path", ["joins", "heads", "events"])
    def test_are_for_the_sidecar_only(self, path: str, anna: Member) -> None:
        for api in (Api(), Api().as_(anna), Api().with_headers(**{CREDENTIAL_HEADER: "guess"})):
            assert api.post(f"/internal/realtime/{path}/", {}).status == 401

    def test_the_sidecar_s_credential_opens_nothing_else(self, sidecar: Api) -> None:
        assert sidecar.get("/me/").status == 401

    def test_joins_are_answered_together(self, sidecar: Api, anna: Member) -> None:
        asked = {"session_id": anna.session.pk, "user_id": anna.id}
        answer = sidecar.post(
            "/internal/realtime/joins/",
            {"joins": [{**asked, "room": f"user:{anna.id}"}, {**asked, "room": "console"}]},
        )
        assert answer.status == 200
        assert [result["allowed"] for result in answer.body["results"]] == [True, False]
        assert (answer.body["epoch"], answer.body["clock_offset_ms"]) == (epoch.current(), 0)

    def test_heads_and_events_tell_where_a_room_stands(self, sidecar: Api) -> None:
        fill("assistance:3", 6)
        heads = sidecar.post("/internal/realtime/heads/", {"rooms": ["assistance:3", "assistance:4"]})
        assert heads.body["heads"] == {"assistance:3": 6, "assistance:4": 0}
        events = sidecar.post("/internal/realtime/events/", {"room": "assistance:3", "after": 4})
        assert ([event["number"] for event in events.body["events"]], events.body["head"]) == ([5, 6], 6)
        bounded, head = realtime.events_after(EventsRequest(room="assistance:3", after=1, until=3))
        assert ([event["number"] for event in bounded], head) == ([2, 3], 6)

    def test_another_epoch_is_told_at_once(self, sidecar: Api) -> None:
        with caused_by("restore"):
            Epoch.objects.update(name="restored")
        assert sidecar.post("/internal/realtime/heads/", {"rooms": []}).body["epoch"] == "restored"
