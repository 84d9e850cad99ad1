"""An account is deleted while something is opened for it: either it is there and the deletion is refused, or the
account is gone and it is refused."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import pytest
from pytest_django import DjangoDbBlocker

from backend.accounts.errors import AccountInUse
from backend.accounts.models import User
from backend.accounts.services.deleting import delete_account
from backend.core.actor import Actor
from backend.core.errors import NotFound, Problem
from backend.core.geo import Point
from backend.dispatch.models import Assistance, DispatchAssistant, Offer
from backend.dispatch.public import ensure_demo_tariffs, put_on_duty
from backend.dispatch.services import duty, offers, requests
from backend.dispatch.services.requests import Wanted
from tests.concurrency.rivals import all_at_once, committed
from tests.concurrency.test_dispatch import _empty_everything
from tests.support.people import make_member

NOW = datetime(2030, 5, 15, 9, 30, tzinfo=UTC)
PICKUP = Point(36.7538, 3.0588)
ROUNDS = 8


@pytest.fixture(autouse=True)
def nothing_is_left(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with committed(django_db_blocker):
        ensure_demo_tariffs(now=NOW)
        yield
        _empty_everything()


def request(actor: Actor) -> None:
    wanted = Wanted(pickup=PICKUP, service_type="towing")
    requests.request_assistance(actor=actor, wanted=wanted, now=NOW)


def accept(actor: Actor, job_id: int) -> None:
    offers.accept_assistance(actor=actor, assistance_id=job_id, now=NOW)


def go_on_duty(actor: Actor) -> None:
    duty.set_duty(actor=actor, is_active=True, now=NOW)


def delete(actor: Actor) -> None:
    delete_account(actor=actor, password=None, otp=None, now=NOW)


class TestDeletingAnAccount:
    def test_races_with_asking_for_help(self) -> None:
        """Seen red with the deletion's lock taken as `no_key`: the job was there and its client was gone."""
        for _ in range(ROUNDS):
            client = make_member("client", now=NOW)
            outcomes = all_at_once([partial(request, client.actor), partial(delete, client.actor)])
            jobs = Assistance.objects.filter(client_id=client.id).count()
            is_there = User.objects.get(pk=client.id).is_active
            if outcomes[0] is None:
                assert (jobs, is_there, type(outcomes[1])) == (1, True, AccountInUse)
            else:
                assert (jobs, is_there, type(outcomes[0]), outcomes[1]) == (0, False, NotFound, None)

    def test_races_with_accepting(self) -> None:
        for _ in range(ROUNDS):
            assistant = make_member("assistant", now=NOW)
            put_on_duty(user_id=assistant.id, lat=PICKUP.lat, lng=PICKUP.lng, now=NOW)
            client = make_member("client", now=NOW)
            request(client.actor)
            job = Assistance.objects.get(client_id=client.id)
            both = [partial(accept, assistant.actor, job.pk), partial(delete, assistant.actor)]
            accepted, deleted = all_at_once(both)
            job.refresh_from_db()
            is_there = User.objects.get(pk=assistant.id).is_active
            if accepted is None:
                assert (job.status, job.assistant_id, is_there) == ("accepted", assistant.id, True)
                assert type(deleted) is AccountInUse
            else:
                assert (job.status, job.assistant_id, is_there, deleted) == ("requested", None, False, None)
                assert isinstance(accepted, Problem)
                assert not DispatchAssistant.objects.filter(pk=assistant.id).exists()
                assert not Offer.objects.filter(assistant_id=assistant.id, status="accepted").exists()
            Assistance.objects.filter(pk=job.pk).update(status="expired", assistant_id=None)

    def test_races_with_going_on_duty(self) -> None:
        for _ in range(ROUNDS):
            assistant = make_member("assistant", now=NOW)
            went_on, deleted = all_at_once([partial(go_on_duty, assistant.actor), partial(delete, assistant.actor)])
            assert deleted is None
            assert went_on is None or type(went_on) is NotFound
            assert not DispatchAssistant.objects.filter(pk=assistant.id).exists()

    def test_happens_once_however_many_ask(self) -> None:
        client = make_member("client", now=NOW)
        outcomes = all_at_once([partial(delete, client.actor)] * 4)
        assert Counter(type(outcome) for outcome in outcomes) == {type(None): 1, NotFound: 3}
