"""A large town's catalogue, made from one seed: categories, providers with places, openings and standing, services."""

import random
from bisect import bisect
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from backend.core.geo import Point, project
from tests.benchmarks import world

SEED = 7
CATEGORIES = 40
PER_PROVIDER = 10
WORDS = 8_000
SPREAD = (0.6, 0.8)
"""Degrees around Algiers: some 60 by 70 kilometres."""
DAYS = 60
PERIODS_A_DAY = 2
_SYLLABLES = "ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu".split()


def word(rank: int) -> str:
    """The word of this rank: the lower, the more common. Rank 0 is in a third of all services."""
    letters = []
    number = rank + 400
    while number:
        number, rest = divmod(number, len(_SYLLABLES))
        letters.append(_SYLLABLES[rest])
    return "".join(letters)


class Zipf:
    """Words as they occur in language: the n-th of them 1/n as often as the first."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._sums = list(accumulate(1 / (rank + 12) for rank in range(WORDS)))

    def words(self, count: int) -> str:
        total = self._sums[-1]
        return " ".join(word(bisect(self._sums, self.random.random() * total)) for _ in range(count))


def fill(database: world.Database, services: int) -> list[int]:
    """The whole catalogue; returns the ids of its categories."""
    language = Zipf(SEED)
    rng = language.random
    providers = [user for user, _ in world.people(database, "offer", "contractor", services // PER_PROVIDER)]
    categories = _categories(database, language)
    now = datetime.now(UTC)
    with database.transaction():
        _copy(
            database,
            "catalog_provider (user_id, business_name, business_description, years_of_experience, license_number,"
            " insurance_info, service_radius_km, currency, lat, lng, position, contact_public, is_onboarded, name,"
            " city, is_listed, category_words, version, created_at, updated_at)",
            (_provider(user, language, now) for user in providers),
        )
        _copy(
            database,
            "catalog_provider_standing (user_id, rating_sum, rating_count, finished_jobs)",
            ((user, (count := rng.randint(1, 40)) * 3 + rng.randint(0, count * 2), count, count) for user in providers),
        )
        _copy(
            database,
            "catalog_calendar_openings (provider_id, place, service_ids, notice_minutes, periods, updated_at)",
            ((user, 0, "{}", 0, _periods(rng, now), now) for user in providers if rng.random() < 0.8),
        )
        _copy(
            database,
            "catalog_service (provider_id, category_id, title, description, price, currency, price_thousandths,"
            " duration_minutes, category_words, is_shown, version, created_at, updated_at)",
            (_service(number, providers, categories, language, now) for number in range(services)),
        )
    world.tidy(database)
    return [category for category, _ in categories]


def _copy(database: world.Database, into: str, rows: Iterator[tuple[object, ...]]) -> None:
    with database.cursor() as cursor, cursor.copy(f"COPY {into} FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row(row)


def _categories(database: world.Database, language: Zipf) -> list[tuple[int, str]]:
    """Five trees of two levels; ids and names of the leaves."""
    leaves: list[tuple[int, str]] = []
    for number in range(CATEGORIES):
        is_root = number < 5
        name = f"{language.words(1)} {number}"
        parent = None if is_root else number % 5
        row = database.execute(
            "INSERT INTO catalog_category (name, description, parent_id, parent_depth, version, created_at, updated_at)"
            " VALUES (%s, '', (SELECT id FROM catalog_category WHERE parent_id IS NULL ORDER BY id OFFSET %s LIMIT 1),"
            " %s, 1, now(), now()) RETURNING id",
            [name, 10**6 if parent is None else parent, None if is_root else 1],
        ).fetchone()
        assert row is not None
        if not is_root:
            leaves.append((int(str(row[0])), name))
    return leaves


def _provider(user: int, language: Zipf, now: datetime) -> tuple[object, ...]:
    rng = language.random
    lat, lng = (at + (rng.random() - 0.5) * spread for at, spread in zip(world.ALGIERS, SPREAD, strict=True))
    x, y = project(Point(lat, lng))
    return (
        user, language.words(2), language.words(25), rng.randint(0, 30), "", "", rng.choice([5, 10, 20, 50]), "DZD",
        lat, lng, f"({x},{y})", False, True, f"Person {user}", "Algiers", True, "", 1, now, now,
    )  # fmt: skip


def _periods(rng: random.Random, now: datetime) -> str:
    """Openings as scheduling leaves them: two a day for sixty days, with the gaps of what is booked."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    parts = []
    for day in range(DAYS):
        for start, end in ((8, 12), (13, 18)):
            begin = midnight + timedelta(days=day, hours=start, minutes=15 * rng.randint(0, 6))
            until = midnight + timedelta(days=day, hours=end, minutes=-15 * rng.randint(0, 6))
            parts.append(f'["{begin.isoformat()}","{until.isoformat()}")')
    return "{" + ",".join(parts) + "}"


def _service(
    number: int, providers: list[int], categories: list[tuple[int, str]], language: Zipf, now: datetime
) -> tuple[object, ...]:
    rng = language.random
    category, name = rng.choice(categories)
    price = rng.randint(500, 50_000)
    at = now - timedelta(minutes=number)
    return (
        rng.choice(providers), category, language.words(4), language.words(30), price * 100, "DZD", price * 1000, 60,
        name, True, 1, at, at,
    )  # fmt: skip
