"""Every read of accounts."""

from collections.abc import Iterable

from backend.accounts.models import AssistantProfile, User
from backend.accounts.values import AssistantView, PersonView
from backend.core.actor import Actor, Role
from backend.core.errors import NotFound


def get_own(actor: Actor) -> User:
    """The caller's own row. One query."""
    return User.objects.get(pk=actor.id)


def people(user_ids: Iterable[int]) -> dict[int, PersonView]:
    """The people of these ids, as others may see them; unknown ids are left out. One query."""
    rows = User.objects.filter(pk__in=set(user_ids)).values_list("pk", "name")
    return {pk: PersonView(id=pk, name=name) for pk, name in rows}


def assistants(user_ids: Iterable[int]) -> dict[int, AssistantView]:
    """Vehicle and licence of those who are active and hold the role; the others are left out. One query."""
    profiles = AssistantProfile.objects.filter(
        user_id__in=set(user_ids), user__is_active=True, user__roles__contains=[Role.ASSISTANT]
    )
    return {
        profile.user_id: AssistantView(
            user_id=profile.user_id,
            service_type=profile.service_type,
            vehicle_type=profile.vehicle_type,
            vehicle_class=profile.vehicle_class,
            licence_category=profile.licence_category,
            licence_number=profile.licence_number,
            licence_expires_on=profile.licence_expires_on,
            vehicle_registration_number=profile.vehicle_registration_number,
        )
        for profile in profiles
    }


def assistant_of(user_id: int) -> AssistantView:
    """The vehicle and licence of one who is active and holds the role. Raises NotFound for all others. One query."""
    found = assistants([user_id]).get(user_id)
    if found is None:
        raise NotFound
    return found
