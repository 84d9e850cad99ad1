"""What an assistant must show: vehicle and licence, given together, and a licence that has not run out."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from django.db import transaction

from backend.accounts.models import AssistantProfile, User, VehicleClass
from backend.accounts.selectors import AssistantView, assistant_of
from backend.core import audit
from backend.core.actor import Actor, Role
from backend.core.errors import FieldProblem, Forbidden, ValidationFailed, invalid_field
from backend.core.references import Question, make_reference
from shared_contracts.errors import ErrorCode


@dataclass(frozen=True, slots=True)
class DrivingLicense:
    """A driving licence; `category` is `b` or `c`, `expires_on` the day on its face."""

    category: str
    number: str
    expires_on: date


@dataclass(frozen=True, slots=True)
class AssistantFields:
    """An assistant's vehicle and licence as somebody gives them; None is what they left out."""

    service_type: str | None = None
    vehicle_type: str | None = None
    vehicle_class: str | None = None
    driving_license: DrivingLicense | None = None
    vehicle_registration_number: str | None = None


NOTHING_GIVEN = AssistantFields()
OPTIONAL = frozenset({"vehicle_class"})


class AssistantListener(Protocol):
    """Takes note, in the transaction of the change, that what `public.assistant(user_id)` answers is different now."""

    def __call__(self, *, user_id: int, now: datetime) -> None: ...


ASSISTANT_CHANGED: Question[AssistantListener] = Question("who keeps copies of an assistant's vehicle and licence")


def tell_assistant_changed(*, user_id: int, now: datetime) -> None:
    """Called when a person became an assistant or is one no longer, and when vehicle or licence changed."""
    for kind in sorted(ASSISTANT_CHANGED.kinds):
        ASSISTANT_CHANGED.about(kind)(user_id=user_id, now=now)


def given_names(given: AssistantFields) -> list[str]:
    """The names of the fields that were given."""
    return [field.name for field in fields(given) if getattr(given, field.name) is not None]


def check_fields(*, roles: Collection[str], given: AssistantFields, today: date) -> None:
    """An assistant gives all of the fields, others none of them. Raises a 422 that names each field at fault."""
    names = given_names(given)
    if Role.ASSISTANT in roles:
        missing = [field.name for field in fields(given) if field.name not in OPTIONAL | set(names)]
        _refuse(missing, "missing", "an assistant must give this")
    else:
        _refuse(names, ErrorCode.UNKNOWN_FIELD, "only an assistant gives this")
    _check_licence(given, today=today)


def _refuse(names: list[str], code: str, message: str) -> None:
    problems: list[FieldProblem] = [{"field": f"body.{name}", "code": code, "message": message} for name in names]
    if problems:
        raise ValidationFailed(errors=problems)


def _check_licence(given: AssistantFields, *, today: date) -> None:
    if given.driving_license is not None and given.driving_license.expires_on <= today:
        raise invalid_field("body.driving_license.expires_on", "the licence has run out; a day in the future is wanted")


def today_of(user: User, *, now: datetime) -> date:
    """The date where this person is."""
    return now.astimezone(ZoneInfo(user.time_zone)).date()


def save_profile(*, user: User, given: AssistantFields, now: datetime) -> None:
    """Keep checked fields, in the caller's transaction; what was not given stays as it is."""
    columns = _columns(given)
    AssistantProfile.objects.update_or_create(
        user=user,
        defaults={**columns, "updated_at": now},
        create_defaults={"vehicle_class": VehicleClass.LIGHT, **columns, "updated_at": now},
    )


def _columns(given: AssistantFields) -> dict[str, object]:
    licence = given.driving_license
    columns = {
        "service_type": given.service_type,
        "vehicle_type": given.vehicle_type,
        "vehicle_class": given.vehicle_class,
        "licence_category": licence and licence.category,
        "licence_number": licence and licence.number,
        "licence_expires_on": licence and licence.expires_on,
        "vehicle_registration_number": given.vehicle_registration_number,
    }
    return {name: value for name, value in columns.items() if value is not None}


@transaction.atomic
def update_assistant_profile(*, actor: Actor, given: AssistantFields, now: datetime) -> AssistantView:
    """Change some of one's own vehicle and licence. Raises Forbidden, or a 422 for a licence that has run out."""
    user = User.objects.select_for_update(no_key=True).filter(pk=actor.id, is_active=True).first()
    if user is None or Role.ASSISTANT not in user.roles:
        raise Forbidden
    _check_licence(given, today=today_of(user, now=now))
    if names := given_names(given):
        save_profile(user=user, given=given, now=now)
        audit.record(
            actor=actor,
            action="accounts.assistant_changed",
            reference=make_reference("user", user.pk),
            changes={"fields": names},
            now=now,
        )
        tell_assistant_changed(user_id=user.pk, now=now)
    return assistant_of(user.pk)
