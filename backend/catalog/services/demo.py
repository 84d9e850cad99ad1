"""Shops for the demo's town, many in a few statements. Nobody is told: all of it was so before the platform began."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import transaction

from backend.catalog import rules
from backend.catalog.models import (
    Category,
    FinishedWork,
    PortfolioItem,
    Provider,
    ProviderCategory,
    ProviderStanding,
    Review,
    Service,
)
from backend.catalog.selectors.tree import Tree
from backend.catalog.services.vocabulary import renew_vocabulary
from backend.core import money
from backend.core.geo import Point, project
from backend.core.money import Money
from backend.media import public as media


@dataclass(frozen=True, slots=True)
class DemoShop:
    """A provider as they show themselves. `services`: title, price, minutes. `works`: title, day, kept picture."""

    provider_id: int
    owner: str
    city: str
    business_name: str
    about: str
    years: int
    radius_km: int
    hourly_rate: Money
    place: Point
    category: str
    services: Sequence[tuple[str, Money, int]]
    works: Sequence[tuple[str, date, str]]


@dataclass(frozen=True, slots=True)
class DemoReview:
    """What a client said a day after the work; without a rating they said nothing."""

    provider_id: int
    client_id: int
    reference: str
    finished_at: datetime
    rating: int | None
    comment: str


@transaction.atomic
def open_demo_shops(
    *, categories: Mapping[str, Mapping[str, str]], shops: Sequence[DemoShop], now: datetime
) -> dict[int, list[int]]:
    """Categories (name to what stands below, each with its description; its own under ""), and shops in them.

    Returns the ids of each provider's services, in order.
    """
    made = {"created_at": now, "updated_at": now}
    ids: dict[str, int] = {}
    for name, below in categories.items():
        root = Category.objects.create(name=name, description=below[""], **made)
        ids[name] = root.pk
        leaves = [
            Category(name=leaf, description=about, parent=root, parent_depth=1, **made)
            for leaf, about in below.items()
            if leaf
        ]
        ids |= {leaf.name: leaf.pk for leaf in Category.objects.bulk_create(leaves)}
    tree = Tree()
    words = {name: tree.words([pk]) for name, pk in ids.items()}
    Provider.objects.bulk_create([_provider(shop, words[shop.category], now=now) for shop in shops])
    ProviderCategory.objects.bulk_create(
        [ProviderCategory(provider_id=shop.provider_id, category_id=ids[shop.category]) for shop in shops]
    )
    services = Service.objects.bulk_create(
        [
            Service(
                provider_id=shop.provider_id,
                category_id=ids[shop.category],
                category_words=words[shop.category],
                title=title,
                price=price.minor,
                currency=price.currency,
                price_thousandths=price.minor * 10 ** (3 - money.exponent(price.currency)),
                duration_minutes=minutes,
                **made,
            )
            for shop in shops
            for title, price, minutes in shop.services
        ]
    )
    PortfolioItem.objects.bulk_create(
        [
            PortfolioItem(provider_id=shop.provider_id, title=title, completed_on=day, picture=picture, **made)
            for shop in shops
            for title, day, picture in shop.works
        ]
    )
    for shop in shops:
        for _, _, picture in shop.works:
            media.claim_picture(picture, now=now)
    renew_vocabulary(now=now)
    found: dict[int, list[int]] = defaultdict(list)
    for service in services:
        found[service.provider_id].append(service.pk)
    return dict(found)


def _provider(shop: DemoShop, words: str, *, now: datetime) -> Provider:
    return Provider(
        user_id=shop.provider_id,
        business_name=shop.business_name,
        business_description=shop.about,
        years_of_experience=shop.years,
        service_radius_km=shop.radius_km,
        hourly_rate=shop.hourly_rate.minor,
        currency=shop.hourly_rate.currency,
        lat=shop.place.lat,
        lng=shop.place.lng,
        position=project(shop.place),
        is_onboarded=rules.is_complete(
            business_name=shop.business_name, business_description=shop.about, has_place=True, categories=1
        ),
        name=shop.owner,
        city=shop.city,
        is_listed=True,
        category_words=words,
        created_at=now - timedelta(days=shop.years),
        updated_at=now,
    )


@transaction.atomic
def record_demo_reviews(*, reviews: Sequence[DemoReview]) -> None:
    """Finished work of new providers with what was said of it, all of it shown for long, and their standings."""
    FinishedWork.objects.bulk_create(
        [
            FinishedWork(
                provider_id=one.provider_id,
                client_id=one.client_id,
                reference=one.reference,
                both_sides_review=True,
                finished_at=one.finished_at,
            )
            for one in reviews
        ]
    )
    Review.objects.bulk_create(
        [
            Review(
                reviewed_id=one.provider_id,
                author_id=one.client_id,
                reference=one.reference,
                rating=one.rating,
                comment=one.comment,
                is_visible=True,
                visible_from=rules.reveals_at(one.finished_at),
                created_at=one.finished_at + timedelta(days=1),
            )
            for one in reviews
            if one.rating is not None
        ]
    )
    standings: dict[int, ProviderStanding] = {}
    for one in reviews:
        standing = standings.setdefault(
            one.provider_id,
            ProviderStanding(
                user_id=one.provider_id,
                rating_sum=0,
                rating_count=0,
                unverified_sum=0,
                unverified_count=0,
                finished_jobs=0,
            ),
        )
        standing.finished_jobs += 1
        standing.rating_sum += one.rating or 0
        standing.rating_count += one.rating is not None
    ProviderStanding.objects.bulk_create(standings.values())
