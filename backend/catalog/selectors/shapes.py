"""What is shown of services, providers, portfolios and reviews: a fixed number of queries for a whole page."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber

from backend.accounts import public as accounts
from backend.catalog.models import PortfolioItem, Provider, ProviderCategory, Review, Service
from backend.catalog.selectors.reviews import shown_reviews
from backend.catalog.selectors.standings import standings_of
from backend.catalog.values import Standing
from backend.core.actor import Actor
from backend.core.errors import NotFound
from backend.core.geo import Point, haversine_m
from backend.core.hot import HotQuery
from backend.core.money import Money
from backend.media import public as media

LATEST_REVIEWS = 5
LATEST_WORK = 6
"""Of each provider, in a list."""

Shown = dict[str, Any]


def get_service(service_id: int) -> Service:
    """A service that anybody finds. Raises NotFound. One query."""
    service = Service.objects.select_related("provider").filter(pk=service_id, is_shown=True).first()
    if service is None:
        raise NotFound
    return service


class _ServiceRow(NamedTuple):
    """What a list shows of a service and of its provider."""

    id: int
    title: str
    description: str
    price: int
    currency: str
    duration_minutes: int
    category_id: int | None
    created_at: datetime
    updated_at: datetime
    provider_id: int
    business_name: str
    name: str
    lat: float | None
    lng: float | None


_OF_PROVIDER = {"business_name", "name", "lat", "lng"}
_SERVICES = HotQuery(
    lambda ids: Service.objects.filter(pk__any=ids).values_list(
        *(f"provider__{name}" if name in _OF_PROVIDER else name for name in _ServiceRow._fields)
    ),
    ids=list,
)


def show_services(service_ids: Sequence[int], *, near: Point | None = None) -> list[Shown]:
    """These services in this order. Two compiled queries."""
    found = {row[0]: _ServiceRow(*row) for row in _SERVICES.rows(ids=list(service_ids))}
    services = [found[pk] for pk in service_ids if pk in found]
    standings = standings_of({service.provider_id for service in services})
    return [_service(service, standings[service.provider_id], near) for service in services]


def show_service(service: Service) -> Shown:
    """One service. One compiled query."""
    names = _ServiceRow._fields
    row = _ServiceRow(*(getattr(service.provider if name in _OF_PROVIDER else service, name) for name in names))
    return _service(row, standings_of([service.provider_id])[service.provider_id], None)


def _service(service: _ServiceRow, standing: Standing, near: Point | None) -> Shown:
    return {
        "id": service.id,
        "title": service.title,
        "description": service.description,
        "price": Money(service.price, service.currency).out(),
        "duration_minutes": service.duration_minutes,
        "category": service.category_id,
        "provider": {
            "id": service.provider_id,
            "name": service.business_name or service.name,
            "average_rating": _average(standing),
            "total_reviews": standing.total_reviews,
        },
        "distance_km": _distance_km(service, near),
        "created_at": service.created_at,
        "updated_at": service.updated_at,
    }


def show_providers(
    provider_ids: Sequence[int], *, expand: Collection[str] = (), near: Point | None = None, now: datetime
) -> list[Shown]:
    """These providers in this order. Four queries, one more for portfolios and two for reviews."""
    found = Provider.objects.in_bulk(provider_ids)
    providers = [found[pk] for pk in provider_ids if pk in found]
    work = _portfolios(provider_ids, LATEST_WORK, now=now) if "portfolio" in expand else None
    said = _reviews(provider_ids) if "reviews" in expand else None
    return _providers(providers, work, said, near, now=now)


def show_provider(provider_id: int, *, now: datetime) -> Shown:
    """All that anybody may see of one; how they are reached only where they show it. Raises NotFound. Eight queries."""
    person = accounts.provider_of(provider_id)
    if person is None:
        raise NotFound
    provider = Provider.objects.filter(pk=provider_id).first() or unwritten(person, now=now)
    work, said = _portfolios([provider_id], None, now=now), _reviews([provider_id])
    (shown,) = _providers([provider], work, said, None, now=now)
    card = accounts.cards([provider_id])[provider_id] if provider.contact_public else None
    return {
        **shown,
        "email": card.email if card else None,
        "phone_number": card.phone_number if card else None,
    }


def unwritten(person: accounts.ProviderView, *, now: datetime) -> Provider:
    """The profile of a provider who has not written any."""
    return Provider(user_id=person.id, name=person.name, city=person.city, created_at=now, updated_at=now)


def show_my_provider(actor: Actor, *, now: datetime) -> Shown:
    """One's own profile, empty as long as nothing was written. Raises NotFound. Four queries at most."""
    person = accounts.provider_of(actor.id)
    if person is None:
        raise NotFound
    return show_own(Provider.objects.filter(pk=actor.id).first() or unwritten(person, now=now))


def show_own(provider: Provider) -> Shown:
    """A profile as its owner sees it. Two queries."""
    standing = standings_of([provider.pk])[provider.pk]
    place = None if provider.lat is None else {"lat": provider.lat, "lng": provider.lng}
    return {
        **_profile(provider, _categories([provider.pk]).get(provider.pk, []), standing),
        "location": place,
        "contact_public": provider.contact_public,
        "version": provider.version,
    }


def list_portfolio_of(actor: Actor) -> QuerySet[PortfolioItem]:
    """One's own pieces of work, the newest first."""
    return PortfolioItem.objects.filter(provider_id=actor.id).order_by("-pk")


def show_item(item: PortfolioItem, *, now: datetime) -> Shown:
    """A piece of work with the addresses of its picture."""
    shown = ("id", "title", "description", "completed_on", "created_at")
    return {
        **{name: getattr(item, name) for name in shown},
        "image": media.picture_links(item.picture, now=now),
    }


def show_reviews(reviews: Iterable[Review]) -> list[Shown]:
    """Reviews with their authors' names. One query."""
    reviews = list(reviews)
    people = accounts.people(review.author_id for review in reviews)
    return [_review(review, people[review.author_id]) for review in reviews]


def show_review(review_id: int) -> Shown:
    """One review, also one that waits: for its author. Two queries."""
    return show_reviews([Review.objects.get(pk=review_id)])[0]


def _review(review: Review, author: accounts.PersonView) -> Shown:
    shown = ("id", "rating", "comment", "is_verified", "is_visible", "reply", "replied_at", "created_at")
    return {
        **{name: getattr(review, name) for name in shown},
        "author": {"id": author.id, "name": author.name},
        "job": review.reference,
    }


def _providers(
    providers: Sequence[Provider],
    work: Mapping[int, list[Shown]] | None,
    said: Mapping[int, list[Shown]] | None,
    near: Point | None,
    *,
    now: datetime,
) -> list[Shown]:
    ids = [provider.pk for provider in providers]
    standings, categories, cards = standings_of(ids), _categories(ids), accounts.cards(ids)
    return [
        {
            **_profile(provider, categories.get(provider.pk, []), standings[provider.pk]),
            "name": provider.name,
            "city": provider.city,
            "photo": accounts.photo_links(cards[provider.pk].photo, now=now),
            "distance_km": _distance_km(provider, near),
            "portfolio": None if work is None else work.get(provider.pk, []),
            "reviews": None if said is None else said.get(provider.pk, []),
            "created_at": provider.created_at,
        }
        for provider in providers
    ]


def _profile(provider: Provider, categories: list[Shown], standing: Standing) -> Shown:
    written = (
        "business_name",
        "business_description",
        "years_of_experience",
        "license_number",
        "insurance_info",
        "service_radius_km",
        "is_onboarded",
    )
    rate = provider.hourly_rate
    return {
        "id": provider.pk,
        **{name: getattr(provider, name) for name in written},
        "hourly_rate": None if rate is None else Money(rate, provider.currency).out(),
        "categories": categories,
        "average_rating": _average(standing),
        "total_reviews": standing.total_reviews,
        "completed_jobs": standing.finished_jobs,
    }


def _categories(provider_ids: Collection[int]) -> dict[int, list[Shown]]:
    found: dict[int, list[Shown]] = {}
    rows = ProviderCategory.objects.filter(provider_id__in=provider_ids).order_by("category__name", "category_id")
    for provider_id, pk, name in rows.values_list("provider_id", "category_id", "category__name"):
        found.setdefault(provider_id, []).append({"id": pk, "name": name})
    return found


def _portfolios(provider_ids: Collection[int], most: int | None, *, now: datetime) -> dict[int, list[Shown]]:
    items = PortfolioItem.objects.filter(provider_id__in=provider_ids).order_by("-pk")
    if most is not None:
        place = Window(RowNumber(), partition_by=F("provider_id"), order_by=F("id").desc())
        items = items.annotate(place=place).filter(place__lte=most)
    found: dict[int, list[Shown]] = {}
    for item in items:
        found.setdefault(item.provider_id, []).append(show_item(item, now=now))
    return found


def _reviews(provider_ids: Collection[int]) -> dict[int, list[Shown]]:
    place = Window(RowNumber(), partition_by=F("reviewed_id"), order_by=F("id").desc())
    latest = shown_reviews().filter(reviewed_id__in=provider_ids).annotate(place=place)
    reviews = list(latest.filter(place__lte=LATEST_REVIEWS).order_by("-pk"))
    found: dict[int, list[Shown]] = {}
    for review, shown in zip(reviews, show_reviews(reviews), strict=True):
        found.setdefault(review.reviewed_id, []).append(shown)
    return found


def _average(standing: Standing) -> str | None:
    return None if standing.average_rating is None else str(standing.average_rating)


def _distance_km(provider: Provider | _ServiceRow, near: Point | None) -> float | None:
    """To half a kilometre: many a provider's place is their home."""
    if near is None or provider.lat is None or provider.lng is None:
        return None
    return round(2 * haversine_m(Point(provider.lat, provider.lng), near) / 1000) / 2
