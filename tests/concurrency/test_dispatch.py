"""Rivals for one job, over real connections: whatever the order, the end is one that could have come one by one."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg
import pytest
from pytest_django import DjangoDbBlocker

from backend.core.environment import environment
from backend.core.errors import Problem
from backend.core.geo import Point
from backend.core.models import EventRow, StateChange
from backend.dispatch.models import Assistance, Offer
from backend.dispatch.public import ensure_demo_tariffs, put_on_duty, record_positions
from backend.dispatch.services import duty, offers, progress, requests, waves
from backend.dispatch.services.progress import Change
from backend.dispatch.services.requests import Wanted
from backend.dispatch.states import STEPS, Status
from shared_contracts.events import PositionReport
from tests.concurrency.rivals import RIVALS, all_at_once, committed
from tests.support.people import Member, make_member

NOW = datetime(2030, 5, 15, 9, 30, tzinfo=UTC)
PICKUP = Point(36.7538, 3.0588)
ASSISTANTS = 50
ROUNDS = 10


@pytest.fixture
def world(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Member]]:
    """Fifty assistants on duty around the pickup, all asked in one wave."""
    settings = environment().model_copy(update={"wave_size": ASSISTANTS})
    monkeypatch.setattr(waves, "environment", lambda: settings)
    with committed(django_db_blocker):
        ensure_demo_tariffs(now=NOW)
        members = [make_member("assistant") for _ in range(ASSISTANTS)]
        for index, member in enumerate(members):
            put_on_duty(user_id=member.id, lat=PICKUP.lat + index / 5000, lng=PICKUP.lng, now=NOW)
        yield members
        _empty_everything()


def _empty_everything() -> None:
    """As the owner: the application may not delete what is append-only."""
    with psycopg.connect(environment().owner_url) as owner:
        tables = owner.execute(
            "SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables WHERE schemaname = 'public'"
            " AND tablename NOT IN ('core_epoch', 'core_clock') AND tablename NOT LIKE 'django_%'"
        ).fetchone()
        assert tables is not None
        owner.execute(f"TRUNCATE {tables[0]} CASCADE")


def ask() -> tuple[Member, Assistance]:
    client = make_member("client")
    wanted = Wanted(pickup=PICKUP, service_type="towing")
    return client, requests.request_assistance(actor=client.actor, wanted=wanted, now=NOW).assistance


def accepting(member: Member, assistance: Assistance) -> Callable[[], Any]:
    return lambda: offers.accept_assistance(actor=member.actor, assistance_id=assistance.pk, now=NOW)


def moving(member: Member, assistance: Assistance, to: Status) -> Callable[[], Any]:
    return lambda: progress.change_status(
        actor=member.actor, assistance_id=assistance.pk, change=Change(to=to), now=NOW
    )


def outcomes(results: list[Any]) -> Counter[str]:
    for result in results:
        assert not isinstance(result, Exception) or isinstance(result, Problem), repr(result)
    return Counter(result.code if isinstance(result, Problem) else "done" for result in results)


def accept_all(members: list[Member], assistance: Assistance) -> Counter[str]:
    """Everybody at once, in as many connections as the pool has; the order is a matter of luck."""
    calls = [accepting(member, assistance) for member in random.sample(members, len(members))]
    parts = [calls[index::RIVALS] for index in range(RIVALS)]

    def one_by_one(part: list[Callable[[], Any]]) -> list[Any]:
        found = []
        for call in part:
            try:
                found.append(call())
            except Problem as problem:
                found.append(problem)
        return found

    results = all_at_once([partial(one_by_one, part) for part in parts])
    return outcomes([result for part in results if isinstance(part, list) for result in part])


class TestAcceptingAtOnce:
    def test_fifty_assistants_one_winner(self, world: list[Member]) -> None:
        """Red when the acceptance neither locks the job nor updates on a condition; either alone holds."""
        _, assistance = ask()
        assert accept_all(world, assistance) == {"done": 1, "already_accepted": ASSISTANTS - 1}
        winner = Assistance.objects.get(pk=assistance.pk).assistant_id
        statuses = Counter(Offer.objects.values_list("status", flat=True))
        assert statuses == {"accepted": 1, "withdrawn": ASSISTANTS - 1}
        assert Offer.objects.get(status="accepted").assistant_id == winner
        assert StateChange.objects.filter(to_status="accepted").count() == 1
        assert EventRow.objects.filter(type="assistance.withdrawn").count() == ASSISTANTS - 1
        assert EventRow.objects.filter(type="member.added", room=f"assistance:{assistance.pk}").count() == 2

    def test_one_assistant_gets_one_of_many_jobs(self, world: list[Member]) -> None:
        for _ in range(ROUNDS):
            jobs = [ask()[1] for _ in range(RIVALS)]
            results = all_at_once([accepting(world[0], job) for job in jobs])
            assert outcomes(results) == {"done": 1, "assistant_busy": RIVALS - 1}
            (mine,) = Assistance.objects.filter(assistant_id=world[0].id, status="accepted")
            moving(world[0], mine, Status.ONGOING)()
            moving(world[0], mine, Status.COMPLETED)()

    def test_two_taps_of_one_phone_are_one(self, world: list[Member]) -> None:
        _, assistance = ask()
        results = all_at_once([accepting(world[0], assistance)] * RIVALS)
        assert outcomes(results) == {"done": RIVALS}
        assert StateChange.objects.filter(to_status="accepted").count() == 1

    def test_accept_cancel_expire_and_the_next_wave_always_end_well(self, world: list[Member]) -> None:
        for _ in range(ROUNDS):
            client, assistance = ask()
            late = make_member("assistant")
            put_on_duty(user_id=late.id, lat=PICKUP.lat, lng=PICKUP.lng, now=NOW)
            calls: list[Callable[[], Any]] = [
                accepting(world[1], assistance),
                accepting(world[2], assistance),
                moving(client, assistance, Status.CANCELED),
                partial(waves.expire_request, assistance_id=assistance.pk, round=1, now=NOW),
                partial(waves.offer_next_wave, assistance_id=assistance.pk, round=1, wave=2, now=NOW),
            ]
            outcomes(all_at_once(random.sample(calls, len(calls))))
            end = Assistance.objects.get(pk=assistance.pk)
            steps = list(
                StateChange.objects.filter(reference=end.reference)
                .order_by("version")
                .values_list("from_status", "to_status")
            )
            assert all(to in STEPS[from_] for from_, to in steps[1:])
            assert [from_ for from_, _ in steps[1:]] == [to for _, to in steps[:-1]]
            assert steps[-1][1] == end.status
            assert end.version == len(steps)
            assert not Offer.objects.filter(assistance=end, status="open").exists() or end.status == "requested"
            duty.set_duty(actor=late.actor, is_active=False, now=NOW)
            if end.status == "accepted":
                moving(client, end, Status.CANCELED)()


class TestAskingAtOnce:
    def test_one_open_request_per_client(self, world: list[Member]) -> None:
        client = make_member("client")
        wanted = Wanted(pickup=PICKUP, service_type="towing")
        results = all_at_once(
            [lambda: requests.request_assistance(actor=client.actor, wanted=wanted, now=NOW)] * RIVALS
        )
        assert outcomes(results) == {"done": 1, "open_request_exists": RIVALS - 1}
        assert Assistance.objects.filter(client_id=client.id).count() == 1


class TestPositionsAtOnce:
    def test_overlapping_floods_do_not_lock_each_other_up(self, world: list[Member]) -> None:
        def flood(seed: int) -> None:
            dice = random.Random(seed)
            for second in range(10):
                at = NOW.replace(minute=31, second=second)
                chosen = dice.sample(world, 40)
                reports = {one.id: PositionReport(lat=36.7, lng=dice.random(), at=at) for one in chosen}
                record_positions(reports=reports, now=at)

        assert all_at_once([partial(flood, seed) for seed in range(RIVALS)]) == [None] * RIVALS
