"""Assistants on the map, and a job brought to any state."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from backend.core.geo import Point
from backend.dispatch.models import Assistance
from backend.dispatch.public import ensure_demo_tariffs, put_on_duty
from backend.dispatch.services import offers, progress, requests
from backend.dispatch.services.progress import Change
from backend.dispatch.services.requests import Request, Wanted
from backend.dispatch.states import Status
from tests.conftest import Moment
from tests.support.people import Member, make_member

PICKUP = Point(36.7538, 3.0588)
DROPOFF = Point(36.7262, 3.1826)
Assistants = Callable[..., Member]


class Stage:
    """What a test of dispatch needs: people, where they are, and jobs. The clock is pinned."""

    def __init__(self, moment: Moment) -> None:
        self.at = moment

    @property
    def now(self) -> datetime:
        return self.at.now

    def client(self, **fields: Any) -> Member:
        return make_member("client", now=self.now, **fields)

    def manager(self) -> Member:
        return make_member("manager", now=self.now)

    def assistant(self, *, north_km: float = 1.0, east_km: float = 0.0, on_duty: bool = True, **profile: Any) -> Member:
        """An assistant on duty so far from the pickup."""
        name = profile.pop("name", None)
        member = make_member("assistant", now=self.now, assistant=profile, **({"name": name} if name else {}))
        if on_duty:
            place = near(north_km, east_km)
            put_on_duty(user_id=member.id, lat=place.lat, lng=place.lng, now=self.now)
        return member

    def request(self, client: Member | None = None, **wanted: Any) -> Request:
        fields = {"pickup": PICKUP, "dropoff": DROPOFF, "service_type": "towing", **wanted}
        return requests.request_assistance(actor=(client or self.client()).actor, wanted=Wanted(**fields), now=self.now)

    def accept(self, member: Member, assistance: Assistance) -> Assistance:
        return offers.accept_assistance(actor=member.actor, assistance_id=assistance.pk, now=self.now)

    def move(self, member: Member, assistance: Assistance, to: Status, **change: Any) -> Assistance:
        return progress.change_status(
            actor=member.actor, assistance_id=assistance.pk, change=Change(to=to, **change), now=self.now
        )

    def job(self, status: Status, **wanted: Any) -> "Job":
        """A job of one client and one assistant in this state."""
        client, assistant = self.client(), self.assistant()
        assistance = self.request(client, **wanted).assistance
        path = {
            Status.REQUESTED: [],
            Status.ACCEPTED: [Status.ACCEPTED],
            Status.ONGOING: [Status.ACCEPTED, Status.ONGOING],
            Status.COMPLETED: [Status.ACCEPTED, Status.ONGOING, Status.COMPLETED],
            Status.CANCELED: [Status.CANCELED],
        }[status]
        for step in path:
            if step is Status.ACCEPTED:
                self.accept(assistant, assistance)
            else:
                self.move(client if step is Status.CANCELED else assistant, assistance, step)
        return Job(client, assistant, Assistance.objects.get(pk=assistance.pk))


class Job:
    def __init__(self, client: Member, assistant: Member, assistance: Assistance) -> None:
        self.client, self.assistant, self.assistance = client, assistant, assistance
        self.path = f"/assistance/{assistance.pk}/"

    def fresh(self) -> Assistance:
        return Assistance.objects.get(pk=self.assistance.pk)


def near(north_km: float, east_km: float = 0.0) -> Point:
    """A place so far from the pickup, good to a per mille."""
    return Point(PICKUP.lat + north_km / 111.195, PICKUP.lng + east_km / (111.195 * 0.8013))


@pytest.fixture
def stage(db: None, at: Moment) -> Stage:
    ensure_demo_tariffs(now=at.now)
    return Stage(at)
