"""What other modules may know of people and do for them: ids and plain values in, frozen dataclasses out.

A module that keeps copies of an assistant's vehicle and licence registers itself in `AppConfig.ready()`:
`ASSISTANT_CHANGED.answered_by("dispatch", listener)`. Its `listener(user_id=…, now=…)` runs in the transaction of every
change (registered, role taken or withdrawn, vehicle or licence changed, deactivated) and asks `assistant_of(user_id)`
what holds now; NotFound means that they are no assistant any more. `PERSON_CHANGED` is the same for who keeps copies of
a person's name, city, roles and activity.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from backend.accounts import rules
from backend.accounts.rules import PHOTO_CONTENT_TYPE, PHOTO_SIZES, photo_file
from backend.accounts.schemas.account import AssistantFieldsIn, Email, PhotoOut, PlaceIn
from backend.accounts.selectors import (
    AssistantView,
    CardView,
    ContactView,
    PersonView,
    ProviderView,
    RecipientView,
    SkillView,
    assistant_of,
    cards,
    contacts,
    get_own,
    has_people,
    hold_active,
    hold_contact,
    hold_provider,
    hold_recipients,
    is_email_known,
    manager_ids,
    people,
    photo_links,
    photo_of,
    provider_of,
    roles_of,
    skills_of,
)
from backend.accounts.services.assistants import (
    ASSISTANT_CHANGED,
    NOTHING_GIVEN,
    AssistantFields,
    AssistantListener,
    DrivingLicense,
    update_assistant_profile,
)
from backend.accounts.services.passwords import hash_password
from backend.accounts.services.profile import PERSON_CHANGED, set_location, set_photo
from backend.accounts.services.proof import signed_in_lately
from backend.accounts.services.registration import NewAccount, add_user, create_account
from backend.accounts.services.skills import ensure_skills, set_skills
from backend.accounts.services.taking_over import TAKEN_OVER
from backend.accounts.services.two_factor import prove_fully
from backend.accounts.sessions import IS_SIGNED_IN, is_signed_in
from backend.core.actor import Actor, Role
from backend.core.errors import NotFound, invalid_field

__all__ = [
    "ASSISTANT_CHANGED",
    "IS_SIGNED_IN",
    "PERSON_CHANGED",
    "PHOTO_CONTENT_TYPE",
    "PHOTO_SIZES",
    "TAKEN_OVER",
    "AssistantFields",
    "AssistantFieldsIn",
    "AssistantListener",
    "AssistantView",
    "CardView",
    "ContactView",
    "DemoPerson",
    "DrivingLicense",
    "Email",
    "PersonView",
    "PhotoOut",
    "PlaceIn",
    "ProviderView",
    "RecipientView",
    "SkillView",
    "assistant_of",
    "cards",
    "contacts",
    "create_admin",
    "create_manager",
    "ensure_skills",
    "has_people",
    "hold_active",
    "hold_contact",
    "hold_provider",
    "hold_recipients",
    "is_email_known",
    "is_signed_in",
    "manager_ids",
    "people",
    "person",
    "photo_file",
    "photo_links",
    "photo_links_of",
    "photo_of",
    "prove_fully",
    "provider_of",
    "register_demo_people",
    "register_user",
    "roles_of",
    "set_location",
    "set_photo",
    "set_skills",
    "signed_in_lately",
    "skills_of",
    "update_assistant_profile",
]


def person(user_id: int) -> PersonView:
    """One person as others may see them. Raises NotFound. One query."""
    found = people([user_id]).get(user_id)
    if found is None:
        raise NotFound
    return found


def photo_links_of(*, actor: Actor, now: datetime) -> dict[str, str]:
    """The addresses of the caller's photo, as PhotoOut. Raises NotFound without a photo. One query."""
    links = photo_links(get_own(actor).photo, now=now)
    if links is None:
        raise NotFound
    return links


@dataclass(frozen=True, slots=True)
class DemoPerson:
    """Somebody in the demo data; their username is the beginning of their e-mail address."""

    role: str
    name: str
    email: str
    city: str


def register_user(
    *,
    roles: Collection[str],
    name: str,
    email: str,
    password: str,
    now: datetime,
    assistant: AssistantFields = NOTHING_GIVEN,
) -> PersonView:
    """Create an account on behalf of the platform, with any roles and without signing in.

    Raises EmailTaken, or a 422 that names each field at fault.
    """
    if not rules.is_email(email):
        raise invalid_field("body.email", "this is no e-mail address")
    account = NewAccount(roles=roles, name=rules.one_line(name), email=email, assistant=assistant)
    user = create_account(account=account, password=password, now=now)
    return PersonView(id=user.pk, name=user.name)


@transaction.atomic
def register_demo_people(*, people: Sequence[DemoPerson], password: str, now: datetime) -> list[PersonView]:
    """Create many accounts with one password, hashed once. Raises as `register_user` does."""
    encoded = hash_password(password)
    made = []
    for one in people:
        account = NewAccount(
            roles=[one.role], name=one.name, email=one.email, username=one.email.partition("@")[0], city=one.city
        )
        user = add_user(account=account, encoded=encoded, now=now)
        made.append(PersonView(id=user.pk, name=user.name))
    return made


def create_manager(*, email: str, name: str, password: str, now: datetime) -> PersonView:
    """Create the account of a manager. Raises EmailTaken, or a 422 for a weak password."""
    return register_user(roles=[Role.MANAGER], name=name, email=email, password=password, now=now)


def create_admin(*, email: str, name: str, password: str, now: datetime) -> PersonView:
    """Create the account of an admin. Raises EmailTaken, or a 422 for a weak password."""
    return register_user(roles=[Role.ADMIN], name=name, email=email, password=password, now=now)
