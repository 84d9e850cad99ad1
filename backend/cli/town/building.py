"""The demo's town, built: files first, then accounts, shops, calendars and what was said, in one transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.core.files.base import ContentFile

from backend.accounts import public as accounts
from backend.accounts.public import DemoPerson
from backend.catalog import public as catalog
from backend.catalog.public import DemoReview, DemoShop
from backend.cli.town.pictures import draw
from backend.cli.town.plan import BARBER_PLACE, CITY, Person, Shop, plan
from backend.cli.town.trades import FIELDS
from backend.core.geo import Point
from backend.core.money import Money
from backend.media import public as media
from backend.scheduling import public as scheduling
from backend.scheduling.public import DemoVisit

CURRENCY = "DZD"
OPENS_AT = 10
"""The hour at which everybody came."""


def draw_works(*, now: datetime) -> list[list[str]]:
    """The kept pictures of every shop's works, in order. Not within a transaction."""
    _, shops = plan()
    return [
        [
            media.keep_made_picture(
                {size: ContentFile(content) for size, content in draw(shop.field, 10 * index + place).items()}, now=now
            )
            for place in range(len(shop.works))
        ]
        for index, shop in enumerate(shops)
    ]


def build(works: Sequence[Sequence[str]], *, barber_id: int, password: str, time_zone: str, now: datetime) -> str:
    """Write the rows; returns how much it is. These pictures are shown by the shops, in order.

    The barber is there already, and has a calendar.
    """
    neighbours, shops = plan()
    clients = _register(neighbours, password, now=now)
    owners = _register([shop.owner for shop in shops if shop is not shops[BARBER_PLACE]], password, now=now)
    scheduling.open_demo_calendars(provider_ids=owners, time_zone=time_zone, now=now)
    owners.insert(BARBER_PLACE, barber_id)
    services = catalog.open_demo_shops(
        categories={
            field.name: {
                "": field.about,
                **{trade.name: f"{trade.signs[0]}, {trade.signs[2]}" for trade in field.trades},
            }
            for field in FIELDS
        },
        shops=[
            _shop(shop, owner, pictures, now=now) for shop, owner, pictures in zip(shops, owners, works, strict=True)
        ],
        now=now,
    )
    visits, said = [], []
    for shop, owner in zip(shops, owners, strict=True):
        for one in shop.visits:
            title, price, minutes = shop.offers[one.offer]
            visits.append(
                DemoVisit(
                    client_id=clients[one.neighbour],
                    provider_id=owner,
                    service_id=services[owner][one.offer],
                    service_title=title,
                    price=_money(price),
                    starts_at=_day(now, one.days_ago).replace(hour=OPENS_AT),
                    minutes=minutes,
                )
            )
            said.append(one)
    references = scheduling.record_demo_visits(visits=visits)
    catalog.record_demo_reviews(
        reviews=[
            DemoReview(
                provider_id=visit.provider_id,
                client_id=visit.client_id,
                reference=reference,
                finished_at=visit.starts_at + timedelta(minutes=visit.minutes),
                rating=one.rating,
                comment=one.comment,
            )
            for visit, reference, one in zip(visits, references, said, strict=True)
        ]
    )
    return f"{len(shops)} shops with {sum(len(shop.offers) for shop in shops)} services, {len(visits)} visits of before"


def _register(people: Sequence[Person], password: str, *, now: datetime) -> list[int]:
    wanted = [DemoPerson(one.role, one.name, one.email, CITY) for one in people]
    return [one.id for one in accounts.register_demo_people(people=wanted, password=password, now=now)]


def _shop(shop: Shop, owner_id: int, pictures: Sequence[str], *, now: datetime) -> DemoShop:
    return DemoShop(
        provider_id=owner_id,
        owner=shop.owner.name,
        city=CITY,
        business_name=shop.business_name,
        about=shop.about,
        years=shop.years,
        radius_km=shop.radius_km,
        hourly_rate=_money(shop.hourly_rate),
        place=Point(shop.lat, shop.lng),
        category=shop.category,
        services=[(title, _money(price), minutes) for title, price, minutes in shop.offers],
        works=[
            (title, _day(now, days_ago).date(), picture)
            for (title, days_ago), picture in zip(shop.works, pictures, strict=True)
        ],
    )


def _day(now: datetime, days_ago: int) -> datetime:
    return (now - timedelta(days=days_ago)).replace(hour=0, minute=0, second=0, microsecond=0)


def _money(dinars: int) -> Money:
    return Money(dinars * 100, CURRENCY)
