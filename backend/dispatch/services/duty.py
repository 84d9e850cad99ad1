"""On and off duty, and the copies of vehicle and licence that matching reads."""

from datetime import date, datetime

from django.db import transaction

from backend.accounts import public as accounts
from backend.core.actor import Actor
from backend.core.environment import environment
from backend.core.errors import NotFound
from backend.core.outbox import emit
from backend.dispatch.errors import LicenceExpired, LicenceNotApproved
from backend.dispatch.models import DispatchAssistant, Offer
from backend.dispatch.states import OfferStatus
from backend.media import public as media
from shared_contracts.events import AccessChanged
from shared_contracts.rooms import user_room


@transaction.atomic
def set_duty(*, actor: Actor, is_active: bool, now: datetime) -> DispatchAssistant:
    """Go on or off duty. Going on takes the copies anew and makes the last known position count again.

    Going off declines the open offers; a job that was accepted goes on. Raises LicenceExpired, or LicenceNotApproved
    where the platform wants the document itself (REQUIRE_APPROVED_LICENCE).
    """
    if is_active:
        accounts.hold_active([actor.id])
    profile = accounts.assistant_of(actor.id)
    if is_active:
        _check_licence(profile, today=now.date())
    row = _row_of(profile)
    was_on_duty, row.on_duty = row.on_duty, is_active
    _copy(profile, row)
    if is_active:
        row.fresh_at = now
    row.save()
    if not is_active:
        _decline_open_offers(actor.id, now=now)
    if was_on_duty is not is_active:
        # The sidecar takes positions and shows offers by it.
        emit(AccessChanged(), rooms=[user_room(actor.id)], now=now)
    return row


def _check_licence(profile: accounts.AssistantView, *, today: date) -> None:
    if profile.licence_expires_on < today:
        raise LicenceExpired
    if environment().require_approved_licence and not media.has_approved_licence(profile.user_id, on=today):
        raise LicenceNotApproved


@transaction.atomic
def take_over_changes(*, user_id: int, now: datetime) -> None:
    """Accounts changed an assistant: copy what changed; one who is none any more, or inactive, goes off duty."""
    row = DispatchAssistant.objects.select_for_update(no_key=True).filter(pk=user_id).first()
    if row is None:
        return
    try:
        _copy(accounts.assistant_of(user_id), row)
    except NotFound:
        row.on_duty = False
        _decline_open_offers(user_id, now=now)
    row.save()


@transaction.atomic
def forget_assistant(*, user_id: int, now: datetime) -> None:
    """Off duty and off the map for good: duty, position and copies are deleted, open offers declined."""
    # An offer that is held is being accepted by them: that waits for their account, and is refused when it is gone.
    mine = Offer.objects.filter(assistant_id=user_id, status=OfferStatus.OPEN)
    free = list(mine.select_for_update(no_key=True, skip_locked=True).values_list("pk", flat=True))
    Offer.objects.filter(pk__in=free).update(status=OfferStatus.DECLINED, answered_at=now)
    DispatchAssistant.objects.filter(pk=user_id).delete()


def _row_of(profile: accounts.AssistantView) -> DispatchAssistant:
    """The assistant's row, locked; made when there is none yet."""
    DispatchAssistant.objects.bulk_create(
        [_copy(profile, DispatchAssistant(pk=profile.user_id))], ignore_conflicts=True
    )
    return DispatchAssistant.objects.select_for_update(no_key=True).get(pk=profile.user_id)


def _copy(profile: accounts.AssistantView, row: DispatchAssistant) -> DispatchAssistant:
    row.service_type = profile.service_type
    row.vehicle_class = profile.vehicle_class
    row.licence_category = profile.licence_category
    row.licence_expires_on = profile.licence_expires_on
    return row


def _decline_open_offers(assistant_id: int, *, now: datetime) -> None:
    Offer.objects.filter(assistant_id=assistant_id, status=OfferStatus.OPEN).update(
        status=OfferStatus.DECLINED, answered_at=now
    )
