"""Every read of accounts, and the lock that keeps people as they were read."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Count, Prefetch, Q, QuerySet, Value
from django.db.models.functions import Lower

from backend.accounts.models import Address, AssistantProfile, Invitation, Session, Skill, User, UserSkill
from backend.accounts.rules import PHOTO_CONTENT_TYPE, PHOTO_SIZES, photo_file
from backend.core.actor import MANAGERS, PROVIDERS, Actor, Role
from backend.core.errors import Forbidden, NotFound
from backend.core.files import link
from backend.core.hot import HotQuery, run


@dataclass(frozen=True, slots=True)
class PersonView:
    """A person as others may see them."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class ProviderView:
    """What the catalogue shows of a provider's account."""

    id: int
    name: str
    city: str


@dataclass(frozen=True, slots=True)
class CardView:
    """What a profile may show of a person. `photo` is for `photo_links`."""

    id: int
    name: str
    city: str
    photo: str
    email: str | None
    phone_number: str | None


@dataclass(frozen=True, slots=True)
class ContactView:
    """A person as those may see them whom a job brings together. The phone number is E.164 in shape."""

    id: int
    name: str
    phone_number: str | None


@dataclass(frozen=True, slots=True)
class SkillView:
    """Something that people can do."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class AssistantView:
    """The vehicle and licence of an active person who is an assistant."""

    user_id: int
    service_type: str
    vehicle_type: str
    vehicle_class: str
    licence_category: str
    licence_number: str
    licence_expires_on: date
    vehicle_registration_number: str


def get_own(actor: Actor) -> User:
    """The caller's own row. Raises NotFound when it was deleted meanwhile. One query."""
    user = User.objects.filter(pk=actor.id).first()
    if user is None:
        raise NotFound
    return user


def photo_of(user_id: int) -> str:
    """The folder of this person's photo, or "". One query."""
    return User.objects.filter(pk=user_id).values_list("photo", flat=True).first() or ""


def photo_links(photo: str, *, now: datetime) -> dict[str, str] | None:
    """The addresses of a photo's squares by the names of PHOTO_SIZES; None without a photo. No query.

    They live one to two days and stay the same from midnight to midnight (UTC), so that they can be cached.
    """
    if not photo:
        return None
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        name: link(
            photo_file(photo, size),
            name=f"photo-{size}.webp",
            content_type=PHOTO_CONTENT_TYPE,
            expires_at=midnight + timedelta(days=2),
            now=now,
        )
        for name, size in PHOTO_SIZES.items()
    }


def list_invitations(actor: Actor) -> QuerySet[Invitation]:
    """Every invitation for managers, the newest first; for admins. Raises Forbidden."""
    if not actor.holds(Role.ADMIN):
        raise Forbidden
    return Invitation.objects.order_by("-pk")


def people(user_ids: Iterable[int]) -> dict[int, PersonView]:
    """The people of these ids, as others may see them; unknown ids are left out. One query, none for nobody."""
    wanted = list(set(user_ids))
    rows = run("SELECT id, name FROM accounts_user WHERE id = ANY(%s::bigint[])", [wanted]) if wanted else []
    return {pk: PersonView(id=pk, name=name) for pk, name in rows}


def roles_of(user_ids: Iterable[int]) -> dict[int, frozenset[str]]:
    """The roles of those of these people whose account is active. One query."""
    rows = run("SELECT id, roles FROM accounts_user WHERE id = ANY(%s::bigint[]) AND is_active", [list(set(user_ids))])
    return {pk: frozenset(roles) for pk, roles in rows}


_CONTACTS = HotQuery(lambda ids: User.objects.filter(pk__any=ids).values_list("pk", "name", "phone_number"), ids=list)


def contacts(user_ids: Iterable[int]) -> dict[int, ContactView]:
    """The people of these ids with their phone numbers, for whom a job brings together. One compiled query."""
    rows = _CONTACTS.rows(ids=list(set(user_ids)))
    return {pk: ContactView(id=pk, name=name, phone_number=number) for pk, name, number in rows}


def skills_of(user_ids: Iterable[int]) -> dict[int, list[SkillView]]:
    """What each of these people says they can do, by name; without those who say nothing. One query."""
    rows = UserSkill.objects.filter(user_id__in=set(user_ids)).order_by(Lower("skill__name"))
    found: dict[int, list[SkillView]] = {}
    for user_id, skill_id, name in rows.values_list("user_id", "skill_id", "skill__name"):
        found.setdefault(user_id, []).append(SkillView(id=skill_id, name=name))
    return found


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


@dataclass(frozen=True, slots=True)
class RecipientView:
    """An active person and how they are reached; `…_verified_at` is when they proved that an address is theirs."""

    id: int
    email: str | None
    email_verified_at: datetime | None
    phone_number: str | None
    phone_verified_at: datetime | None
    language: str
    time_zone: str


def hold_recipients(user_ids: Iterable[int]) -> dict[int, RecipientView]:
    """Those of these people who are active, and stay so until the end of the transaction. One query."""
    columns = ", ".join(RecipientView.__dataclass_fields__)
    rows = run(
        f"SELECT {columns} FROM accounts_user WHERE id = ANY(%s::bigint[]) AND is_active ORDER BY id FOR KEY SHARE",  # noqa: S608
        [sorted(set(user_ids))],
    )
    return {row[0]: RecipientView(*row) for row in rows}


def manager_ids() -> list[int]:
    """The active people who run the platform. One query."""
    rows = User.objects.filter(is_active=True, roles__overlap=[role.value for role in MANAGERS])
    return list(rows.order_by("pk").values_list("pk", flat=True))


def is_email_known(email: str) -> bool:
    """Whether an account has this e-mail address. One query."""
    return User.objects.alias(small=Lower("email")).filter(small=Lower(Value(email))).exists()


def has_people() -> bool:
    """Whether there is any account. One query."""
    return User.objects.exists()


def hold_active(user_ids: Collection[int]) -> None:
    """Keep these people active until the end of the transaction: before something is opened for them.

    It locks their rows, in order of id, against deactivation and deletion only (`FOR KEY SHARE`). Raises NotFound when
    one is missing or no longer active. One query.
    """
    found = run(
        "SELECT id FROM accounts_user WHERE id = ANY(%s::bigint[]) AND is_active ORDER BY id FOR KEY SHARE",
        [sorted(set(user_ids))],
    )
    if len(found) < len(set(user_ids)):
        raise NotFound


def hold_contact(user_id: int) -> ContactView:
    """`hold_active` for one person, with their name and phone number. Raises NotFound. One query."""
    rows = run("SELECT id, name, phone_number FROM accounts_user WHERE id = %s AND is_active FOR KEY SHARE", [user_id])
    if not rows:
        raise NotFound
    return ContactView(*rows[0])


def provider_of(user_id: int, *, lock: bool = False) -> ProviderView | None:
    """The name and city of an active person who holds a provider's role; None for others. One query.

    With `lock` they stay as they are until the end of the transaction.
    """
    statement = "SELECT id, name, city FROM accounts_user WHERE id = %s AND is_active AND roles && %s::varchar[]"
    rows = run(f"{statement} FOR SHARE" if lock else statement, [user_id, [role.value for role in PROVIDERS]])
    return ProviderView(*rows[0]) if rows else None


def cards(user_ids: Iterable[int]) -> dict[int, CardView]:
    """What a profile may show of these people; who shows what is the caller's to judge. One query."""
    rows = User.objects.filter(pk__in=set(user_ids)).values_list("pk", "name", "city", "photo", "email", "phone_number")
    return {row[0]: CardView(*row) for row in rows}


def hold_provider(user_id: int) -> ProviderView:
    """The same, kept until the end of the transaction. Raises NotFound for others. One query."""
    found = provider_of(user_id, lock=True)
    if found is None:
        raise NotFound
    return found


def is_free(*, username: str | None, email: str | None) -> bool:
    """Whether no account has this username, or this e-mail address. One query."""
    people = User.objects.alias(small_email=Lower("email"), small_name=Lower("username"))
    if email is not None:
        return not people.filter(small_email=Lower(Value(email))).exists()
    return not people.filter(small_name=Lower(Value(username))).exists()


def list_sessions_of(actor: Actor, *, now: datetime) -> QuerySet[Session]:
    """The caller's live sessions, the newest first."""
    return Session.objects.filter(user_id=actor.id, ended_at=None, expires_at__gt=now).order_by("-pk")


def list_addresses_of(actor: Actor) -> QuerySet[Address]:
    """The caller's addresses, the primary one first."""
    return Address.objects.filter(user_id=actor.id).order_by("-is_primary", "pk")


def _public() -> QuerySet[User]:
    """Whom anybody may find, with their skills. Who runs the platform is not in its directory."""
    people = User.objects.filter(is_active=True).exclude(roles__overlap=[role.value for role in MANAGERS])
    return people.prefetch_related(Prefetch("skills", Skill.objects.order_by(Lower("name"))))


def list_people(
    *,
    roles: Collection[str],
    not_roles: Collection[str],
    search: str,
    city: str,
    skills: Collection[int],
    ordering: str,
) -> QuerySet[User]:
    """The directory: who holds one of `roles`, none of `not_roles`, and has every one of `skills`.

    `search` is in names and usernames. A page costs three queries: the count, the people, their skills.
    """
    people = _public()
    if roles:
        people = people.filter(roles__overlap=list(roles))
    if not_roles:
        people = people.exclude(roles__overlap=list(not_roles))
    if search:
        people = people.filter(Q(name__icontains=search) | Q(username__icontains=search))
    if city:
        people = people.filter(city__iexact=city)
    if wanted := set(skills):
        having = UserSkill.objects.filter(skill_id__in=wanted).values("user_id").annotate(found=Count("pk"))
        people = people.filter(pk__in=having.filter(found=len(wanted)).values("user_id"))
    return people.order_by(ordering, "-pk" if ordering.startswith("-") else "pk")


def get_person(*, user_id: int = 0, username: str | None = None) -> User:
    """One person as anybody may see them, by id or username. Raises NotFound. Two queries: the person, their skills."""
    people = _public().alias(small_name=Lower("username"))
    found = people.filter(pk=user_id) if username is None else people.filter(small_name=Lower(Value(username)))
    person = found.first()
    if person is None:
        raise NotFound
    return person
