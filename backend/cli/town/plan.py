"""The demo's town as plain values, always the same ones: 300 shops, 1,000 services, 450 pictures, 60 neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from random import Random

from backend.cli.demo_accounts import BARBER
from backend.cli.town.people import ABOUT, COMMENTS, DISTRICTS, FIRST_NAMES, LAST_NAMES, WORKS
from backend.cli.town.trades import FIELDS, Offer, Trade

CITY = "Algiers"
SHOPS = 300
NEIGHBOURS = 60
BARBER_PLACE = 8
"""Whose shop the demo's barber has: the first of the barbers."""
_ROLES = ("contractor", "freelancer", "specialist")
_RATINGS = (5, 5, 5, 5, 4, 4, 4, 3, 2, 1, None)
_STEP_DAYS = 9


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account."""

    role: str
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Visit:
    """A customer of former days. `offer`: which of the shop's services; no rating: they said nothing."""

    neighbour: int
    offer: int
    days_ago: int
    rating: int | None
    comment: str


@dataclass(frozen=True, slots=True)
class Shop:
    """A provider, what they offer, show, and whom they served."""

    owner: Person
    business_name: str
    about: str
    years: int
    radius_km: int
    hourly_rate: int
    lat: float
    lng: float
    field: int
    category: str
    offers: Sequence[Offer]
    works: Sequence[tuple[str, int]]
    """Title, and how many days ago."""
    visits: Sequence[Visit]


def plan() -> tuple[list[Person], list[Shop]]:
    """The neighbours, who are clients, and the shops."""
    chance = Random("Callout's demo town")
    names = [f"{first} {last}" for first, last in product(FIRST_NAMES, LAST_NAMES)]
    chance.shuffle(names)
    trades = [(place, trade) for place, field in enumerate(FIELDS) for trade in field.trades]
    neighbours = [
        Person("client", names[index], f"neighbour{index + 1:02}@callout.example") for index in range(NEIGHBOURS)
    ]
    shops = []
    for index in range(SHOPS):
        place, trade = trades[index % len(trades)]
        role, name = _ROLES[index % len(_ROLES)], names[NEIGHBOURS + index]
        owner = Person(role, name, f"shop{index + 1:03}@callout.example")
        shop = _shop(chance, index, owner, place, trade)
        if index == BARBER_PLACE:
            barber = Person(BARBER[0], BARBER[2], BARBER[1])
            shop = replace(shop, owner=barber, business_name=BARBER[4], offers=list(trade.offers[: len(shop.offers)]))
        shops.append(shop)
    return neighbours, shops


def _shop(chance: Random, index: int, owner: Person, field: int, trade: Trade) -> Shop:
    district, lat, lng = DISTRICTS[index % len(DISTRICTS)]
    offers = chance.sample(trade.offers, 4 if index % 3 == 0 else 3)
    return Shop(
        owner=owner,
        business_name=_business_name(index, owner.name, district, trade),
        about=ABOUT[index % len(ABOUT)].format(district=district),
        years=chance.randint(1, 35),
        radius_km=chance.choice((5, 10, 15, 25, 40)),
        hourly_rate=chance.randrange(800, 4000, 100),
        lat=round(lat + chance.uniform(-0.01, 0.01), 5),
        lng=round(lng + chance.uniform(-0.01, 0.01), 5),
        field=field,
        category=trade.name,
        offers=[
            (title, round(price * chance.uniform(0.8, 1.3) / 100) * 100, minutes) for title, price, minutes in offers
        ],
        works=[(chance.choice(WORKS).format(district=district), chance.randint(5, 900)) for _ in range(1 + index % 2)],
        # Far enough apart that no two are at one time, and over for so long that nobody waits to be told.
        visits=[_visit(chance, number, len(offers)) for number in range(chance.choice((0, 1, 2, 2, 3, 4)))],
    )


def _business_name(index: int, owner: str, district: str, trade: Trade) -> str:
    french, english, arabic = trade.signs
    first, _, last = owner.partition(" ")
    signs = (
        f"{french} {last}",
        f"{last} & Sons {english}",
        f"{arabic} {district}",
        f"{english} by {first}",
        f"{french} de {district}",
        f"{arabic} {last}",
        f"{district} {english}",
    )
    return signs[index // 3 % len(signs)]


def _visit(chance: Random, number: int, offers: int) -> Visit:
    rating = chance.choice(_RATINGS)
    return Visit(
        neighbour=chance.randrange(NEIGHBOURS),
        offer=chance.randrange(offers),
        days_ago=30 + number * _STEP_DAYS,
        rating=rating,
        comment="" if rating is None else chance.choice(COMMENTS[rating]),
    )
