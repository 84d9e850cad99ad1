"""D4: a time is never sold twice, over real connections, whatever the code looks at before."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from threading import Event, Semaphore
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from psycopg import errors as postgres
from pytest_django import DjangoDbBlocker

from backend.accounts.models import User
from backend.catalog.models import CalendarOpenings
from backend.catalog.public import OpenCalendar
from backend.core.errors import Problem
from backend.scheduling.errors import SlotTaken
from backend.scheduling.models import Booking, Resource
from backend.scheduling.selectors import bookings, calendars
from backend.scheduling.services import booking as booking_
from backend.scheduling.services import claims, moving, openings, progress, timers
from backend.scheduling.services.booking import Wanted
from backend.scheduling.services.moving import NewTime
from tests.concurrency.rivals import PATIENCE_SECONDS, RIVALS, all_at_once, committed, in_background
from tests.concurrency.test_dispatch import _empty_everything
from tests.support.people import Member, make_member

NOW = datetime(2030, 5, 15, 9, 30, tzinfo=UTC)
START = datetime(2030, 5, 16, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
CLIENTS = 200


@pytest.fixture
def shop(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Member]:
    with committed(django_db_blocker):
        yield make_member("contractor", now=NOW)
        _empty_everything()


def booking_by(client: Member, shop: Member, start: datetime = START) -> Callable[[], Any]:
    wanted = Wanted(starts_at=start, ends_at=start + HOUR, provider_id=shop.id)
    return lambda: booking_.book(actor=client.actor, wanted=wanted, now=NOW)


def outcomes(calls: list[Callable[[], Any]]) -> Counter[str]:
    """What becomes of each. Six are in flight at any moment, as many as a process has connections to spare; whoever is
    answered makes room for the next."""

    def one_by_one(part: list[Callable[[], Any]]) -> list[str]:
        found = []
        for call in part:
            try:
                call()
                found.append("done")
            except Problem as problem:
                found.append(str(problem.code))
        return found

    parts = [partial(one_by_one, calls[index::RIVALS]) for index in range(RIVALS)]
    results = all_at_once(parts, patience_s=60)
    assert all(isinstance(part, list) for part in results), results
    return Counter(outcome for part in results if isinstance(part, list) for outcome in part)


def remove_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks whether the time is free, and nobody locks the chair: PostgreSQL alone is left."""
    monkeypatch.setattr(bookings, "is_taken", lambda *_, **__: False)
    monkeypatch.setattr(calendars, "is_touched", lambda *_: False)
    monkeypatch.setattr(bookings, "lock_resources", lambda ids: list(Resource.objects.filter(pk__in=ids)))


class TestBookingAtOnce:
    def test_two_hundred_clients_one_winner(self, shop: Member) -> None:
        """Six at a time. All two hundred requests at once, over HTTP and over and over: `tests/faults/slots.py`, in
        `./callout soak`."""
        clients = [make_member("client", now=NOW) for _ in range(CLIENTS)]
        results = outcomes([booking_by(client, shop) for client in clients])
        assert results == {"done": 1, "slot_taken": CLIENTS - 1}
        assert Booking.objects.count() == 1

    def test_the_first_of_all_is_made_while_the_second_looks_for_a_chair(
        self, shop: Member, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Seen red with a chair that another had made meanwhile taken for one switched off."""
        first, second = (booking_by(make_member("client", now=NOW), shop) for _ in range(2))
        look = calendars.chairs_of

        def look_and_be_late(provider_id: int) -> list[Resource]:
            monkeypatch.setattr(calendars, "chairs_of", look)
            found = look(provider_id)
            assert isinstance(in_background(first)(), Booking)
            return found

        monkeypatch.setattr(calendars, "chairs_of", look_and_be_late)
        with pytest.raises(SlotTaken):
            second()

    def test_two_hundred_clients_one_winner_with_the_checks_removed(
        self, shop: Member, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Seen red when the constraint's refusal is not told as SlotTaken."""
        remove_the_checks(monkeypatch)
        booking_by(make_member("client", now=NOW), shop, START - 5 * HOUR)()  # the chair is there
        clients = [make_member("client", now=NOW) for _ in range(CLIENTS)]
        starts = [START + (index % 4) * HOUR / 2 for index in range(CLIENTS)]
        calls = [booking_by(client, shop, start) for client, start in zip(clients, starts, strict=True)]
        results = outcomes(calls)
        assert results.keys() == {"done", "slot_taken"}
        held = sorted(Booking.objects.filter(starts_at__gte=START).values_list("starts_at", "ends_at"))
        assert results["done"] == len(held) in {1, 2}
        assert all(first[1] <= second[0] for first, second in pairwise(held))

    def test_one_time_has_one_winner_by_the_constraint_alone(
        self, shop: Member, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Everybody wants the very same time, and PostgreSQL's exclusion constraint alone decides."""
        remove_the_checks(monkeypatch)
        booking_by(make_member("client", now=NOW), shop, START - 5 * HOUR)()  # the chair is there
        clients = [make_member("client", now=NOW) for _ in range(40)]
        assert outcomes([booking_by(client, shop) for client in clients]) == {"done": 1, "slot_taken": 39}
        assert Booking.objects.filter(starts_at=START).count() == 1

    @pytest.mark.parametrize("checked", [True, False])
    def test_who_waited_too_long_tries_again(
        self, shop: Member, monkeypatch: pytest.MonkeyPatch, checked: bool
    ) -> None:
        """Behind others' deadlocks one waits for longer than anybody waits for a lock.

        Seen red when giving up waiting for a lock is no reason to try again.
        """
        booking_by(make_member("client", now=NOW), shop, START - 5 * HOUR)()
        first, second = (booking_by(make_member("client", now=NOW), shop) for _ in range(2))
        if not checked:
            remove_the_checks(monkeypatch)
        tries = Semaphore(0)
        require = booking_.require_provider

        def impatient(provider_id: int) -> None:
            tries.release()
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '50ms'")
            require(provider_id)

        with transaction.atomic():
            first()
            monkeypatch.setattr(booking_, "require_provider", impatient)
            outcome = in_background(second)
            assert [tries.acquire(timeout=PATIENCE_SECONDS) for _ in range(2)] == [True, True]
            transaction.set_rollback(True)
        assert isinstance(outcome(), Booking)

    @pytest.mark.parametrize(
        "cause", [postgres.DeadlockDetected, postgres.SerializationFailure, postgres.LockNotAvailable]
    )
    def test_who_is_unlucky_four_times_is_told_that_it_is_taken(
        self, shop: Member, monkeypatch: pytest.MonkeyPatch, cause: type[postgres.Error]
    ) -> None:
        monkeypatch.setattr(claims, "PAUSE_SECONDS", 0)
        tries = []

        def unlucky() -> None:
            tries.append(make_member("client", now=NOW).id)
            raise OperationalError from cause()

        people = User.objects.count()
        with pytest.raises(SlotTaken):
            claims.claiming(unlucky)
        assert (len(tries), User.objects.count()) == (4, people)

    def test_each_of_three_chairs_is_sold_once(self, shop: Member) -> None:
        for name in "abc":
            Resource.objects.create(provider_id=shop.id, name=name, created_at=NOW, updated_at=NOW)
        clients = [make_member("client", now=NOW) for _ in range(30)]
        assert outcomes([booking_by(client, shop) for client in clients]) == {"done": 3, "slot_taken": 27}
        assert Booking.objects.values("resource_id").distinct().count() == 3


class TestMovingInACircle:
    @pytest.mark.parametrize("checked", [True, False])
    def test_leaves_no_two_at_one_time(self, shop: Member, monkeypatch: pytest.MonkeyPatch, checked: bool) -> None:
        clients = [make_member("client", now=NOW) for _ in range(RIVALS)]
        circle = [booking_by(client, shop, START + index * HOUR)() for index, client in enumerate(clients)]
        if not checked:
            remove_the_checks(monkeypatch)

        def moves(index: int) -> Callable[[], Any]:
            time = NewTime(starts_at=START + (index + 1) % RIVALS * HOUR)
            move = partial(moving.reschedule_booking, actor=clients[index].actor, booking_id=circle[index].pk)
            return lambda: move(time=time, now=NOW)

        for _ in range(5):
            results = outcomes([moves(index) for index in range(RIVALS)])
            assert results.keys() <= {"done", "slot_taken"}
        held = sorted(Booking.objects.filter(holds_slot=True).values_list("starts_at", "ends_at"))
        assert len(held) == RIVALS
        assert all(first[1] <= second[0] for first, second in pairwise(held))


class TestOneBooking:
    def test_is_confirmed_or_cancelled(self, shop: Member) -> None:
        for index in range(10):
            client = make_member("client", now=NOW)
            one = booking_by(client, shop, START + index * HOUR)()
            confirm = partial(progress.confirm_booking, actor=shop.actor, booking_id=one.pk, now=NOW)
            cancel = partial(progress.cancel_booking, actor=client.actor, booking_id=one.pk, reason="", now=NOW)
            results = outcomes([confirm, cancel, confirm, cancel, confirm, cancel])
            assert results["done"] in {1, 2}  # confirmed, then cancelled; or cancelled alone
            assert Booking.objects.get(pk=one.pk).status == "cancelled"

    def test_is_taken_a_step_further_once_by_many_timetables(self, shop: Member) -> None:
        """T3: each step is taken once."""
        one = booking_by(make_member("client", now=NOW), shop)()
        for at in (NOW + timedelta(minutes=15), START):
            step = partial(timers.take_next_step, booking_id=one.pk, now=at)
            assert outcomes([step] * RIVALS) == {"done": RIVALS}
        expired = Booking.objects.get(pk=one.pk)
        assert (expired.status, expired.version, expired.next_step_at) == ("expired", 2, None)


class TestTellingTheCatalogue:
    def test_nothing_old_is_told_last(self, shop: Member, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who has looked before a second booking, and tells after it. Seen red with rows that are deleted after it."""
        looked, go_on = Event(), Event()
        look = openings.openings_of

        def look_and_wait(provider_id: int, *, now: datetime) -> list[OpenCalendar]:
            found = look(provider_id, now=now)
            if not looked.is_set():
                looked.set()
                assert go_on.wait(PATIENCE_SECONDS)
            return found

        monkeypatch.setattr(openings, "openings_of", look_and_wait)
        tell = partial(openings.push_openings, provider_id=shop.id, now=NOW)
        booking_by(make_member("client", now=NOW), shop)()
        first = in_background(tell)
        assert looked.wait(PATIENCE_SECONDS)
        booking_by(make_member("client", now=NOW), shop, START + 2 * HOUR)()
        told = Event()

        def tell_second() -> None:
            tell()
            told.set()

        second = in_background(tell_second)
        while not (told.wait(0.01) or _somebody_waits()):
            pass
        go_on.set()
        first(), second()
        (kept,) = CalendarOpenings.objects.filter(provider_id=shop.id)
        assert [OpenCalendar(tuple(kept.periods or ()), (), 0)] == look(shop.id, now=NOW)


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity"
            " WHERE datname = current_database() AND pg_blocking_pids(pid) <> '{}')"
        )
        return bool(cursor.fetchone() == (True,))
