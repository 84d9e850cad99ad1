"""The search for services and for providers.

A list is read to its 10,000th row at most, so no more are counted. Of few that match (a thousand) all are ranked and
sorted. Of many, whose relevance hardly differs, those with the words in title or category come first, then the others,
the newest first: an index gives them in that order, and only as many rows are looked at as are shown.
"""

# ruff: noqa: S608 - every part of the statements is written here; values travel apart from them

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from backend.catalog.selectors.places import Conditions, Where, distance_from
from backend.catalog.selectors.words import Words, mended, read_words
from backend.core.pagination import MAX_OFFSET

FEW = 1000
Found = tuple[int, list[int]]
"""How many there are, at most 10,000, and the ids of the page."""

_ORDERS = {
    "price": "s.price_thousandths, s.id",
    "-price": "s.price_thousandths DESC, s.id DESC",
    "created_at": "s.created_at, s.id",
    "-created_at": "s.created_at DESC, s.id DESC",
}
_NEWEST = "-created_at"
_RANKED = "s.head @@ %s::tsquery DESC, ts_rank(s.words, %s::tsquery) DESC, s.created_at DESC, s.id DESC"
_STANDING = "LEFT JOIN catalog_provider_standing AS st ON st.user_id = p.user_id"
_RATING = {
    "rating": "st.average NULLS LAST, st.rating_count, p.user_id",
    "-rating": "st.average DESC NULLS LAST, st.rating_count DESC, p.user_id DESC",
}


@dataclass(frozen=True, kw_only=True)
class ServiceSearch:
    """Which services, in which order; prices in thousandths of the unit. `categories` None: of any."""

    search: str = ""
    categories: Collection[int] | None = None
    provider_id: int | None = None
    min_price: int | None = None
    max_price: int | None = None
    where: Where = field(default_factory=Where)
    ordering: str | None = None


def search_services(asked: ServiceSearch, *, start: int, size: int) -> Found:
    """One page. Two to five queries; one more for the words, and twice as many where typing errors are mended."""
    if not asked.search.strip():
        return _Services(asked, None).page(start, size)
    words = read_words(asked.search)
    if words.is_empty:
        return 0, []
    found = _Services(asked, words).page(start, size)
    if found[0]:
        return found
    better = mended(words)
    return _Services(asked, better).page(start, size) if better else found


class _Services:
    """One search with its words as they are."""

    def __init__(self, asked: ServiceSearch, words: Words | None) -> None:
        self.asked = asked
        self.tsquery = words.tsquery if words else None
        self.by_provider = (asked.ordering or "").lstrip("-") in {"rating", "distance"}
        self.providers = self._eligible()
        # Everybody who is listed is no condition: only their order matters then.
        filters = bool(asked.where.conditions().texts) or asked.provider_id is not None
        self.conditions = self._conditions(self.providers if filters else None)

    def page(self, start: int, size: int) -> Found:
        if self.providers == []:
            return 0, []
        count, ids = self._few(start, size)
        if count <= FEW:
            return count, ids
        return self._count(), self._many(start, size)

    def _eligible(self) -> list[int] | None:
        """Who comes there and is free then, in their own order where one is asked for; None: everybody."""
        asked = self.asked
        conditions = asked.where.conditions()
        if not conditions.texts and not self.by_provider:
            return None
        conditions.add("p.is_listed")
        if asked.provider_id is not None:
            conditions.add("p.user_id = %s", asked.provider_id)
        order: str = "p.user_id"
        values: list[Any] = []
        if self.by_provider:
            order, values = _provider_order(asked.ordering or "", asked.where)
        statement = (
            f"SELECT coalesce(array_agg(p.user_id ORDER BY {order}), '{{}}') FROM catalog_provider AS p {_STANDING}"
            f" WHERE {conditions.sql}"
        )
        ((ids,),) = _rows(statement, [*values, *conditions.values])
        return list(ids)

    def _conditions(self, providers: list[int] | None) -> Conditions:
        asked, found = self.asked, Conditions()
        found.add("s.is_shown")
        if self.tsquery is not None:
            found.add("s.words @@ %s::tsquery", self.tsquery)
        if asked.categories is not None:
            found.add("s.category_id = ANY(%s)", list(asked.categories))
        if providers is not None:
            found.add("s.provider_id = ANY(%s)", providers)
        elif asked.provider_id is not None:
            found.add("s.provider_id = %s", asked.provider_id)
        if asked.min_price is not None:
            found.add("s.price_thousandths >= %s", asked.min_price)
        if asked.max_price is not None:
            found.add("s.price_thousandths <= %s", asked.max_price)
        return found

    def _few(self, start: int, size: int) -> Found:
        """All that match, up to a thousand and one, sorted."""
        order, values = self._order()
        statement = (
            "WITH s AS MATERIALIZED (SELECT s.id, s.provider_id, s.price_thousandths, s.created_at, s.head, s.words"
            f" FROM catalog_service AS s WHERE {self.conditions.sql} LIMIT {FEW + 1})"
            " SELECT (SELECT count(*) FROM s),"
            f" CASE WHEN (SELECT count(*) FROM s) <= {FEW}"
            f" THEN ARRAY(SELECT s.id FROM s ORDER BY {order} OFFSET %s LIMIT %s) END"
        )
        ((count, ids),) = _rows(statement, [*self.conditions.values, *values, start, size])
        return count, list(ids or [])

    def _order(self) -> tuple[str, list[Any]]:
        if self.by_provider:
            return "array_position(%s::bigint[], s.provider_id), s.id DESC", [self.providers]
        if self.asked.ordering is None and self.tsquery is not None:
            return _RANKED, [self.tsquery, self.tsquery]
        return _ORDERS[self.asked.ordering or _NEWEST], []

    def _count(self) -> int:
        statement = (
            f"SELECT count(*) FROM (SELECT FROM catalog_service AS s WHERE {self.conditions.sql} LIMIT {MAX_OFFSET}) n"
        )
        ((count,),) = _rows(statement, self.conditions.values)
        return int(count)

    def _many(self, start: int, size: int) -> list[int]:
        if self.by_provider:
            return self._by_provider(start, size)
        if self.asked.ordering is not None or self.tsquery is None:
            return self._slice(_ORDERS[self.asked.ordering or _NEWEST], start, size)
        first = self._slice(_ORDERS[_NEWEST], start, size, "s.head @@ %s::tsquery")
        if len(first) == size:
            return first
        before = start + len(first) if first else self._count_heads(start)
        rest = self._slice(_ORDERS[_NEWEST], max(0, start - before), size - len(first), "NOT s.head @@ %s::tsquery")
        return first + rest

    def _slice(self, order: str, start: int, size: int, tier: str = "") -> list[int]:
        statement = (
            f"SELECT s.id FROM catalog_service AS s WHERE {self.conditions.sql}{f' AND {tier}' if tier else ''}"
            f" ORDER BY {order} OFFSET %s LIMIT %s"
        )
        values = [*self.conditions.values, *([self.tsquery] if tier else []), start, size]
        return [pk for (pk,) in _rows(statement, values)]

    def _count_heads(self, most: int) -> int:
        statement = (
            f"SELECT count(*) FROM (SELECT FROM catalog_service AS s WHERE {self.conditions.sql}"
            " AND s.head @@ %s::tsquery LIMIT %s) n"
        )
        ((count,),) = _rows(statement, [*self.conditions.values, self.tsquery, most])
        return int(count)

    def _by_provider(self, start: int, size: int) -> list[int]:
        """In the order of their providers, some of them at a time until the page is full."""
        found: list[int] = []
        for some in _growing(self.providers or []):
            theirs = self._conditions(some)
            statement = (
                f"SELECT s.id FROM catalog_service AS s WHERE {theirs.sql}"
                " ORDER BY array_position(%s::bigint[], s.provider_id), s.id DESC"
            )
            found += [pk for (pk,) in _rows(statement, [*theirs.values, some])]
            if len(found) >= start + size:
                break
        return found[start : start + size]


def _growing(ids: Sequence[int]) -> Iterator[list[int]]:
    """Fifty, a hundred, two hundred of them …"""
    at, some = 0, 50
    while at < len(ids):
        yield list(ids[at : at + some])
        at, some = at + some, some * 2


@dataclass(frozen=True, kw_only=True)
class ProviderSearch:
    """Which providers, in which order. `categories` None: of any."""

    search: str = ""
    categories: Collection[int] | None = None
    min_years: int | None = None
    min_radius_km: int | None = None
    is_onboarded: bool | None = None
    city: str = ""
    min_rating: float | None = None
    where: Where = field(default_factory=Where)
    ordering: str | None = None


_PROVIDER_ORDERS = {
    "business_name": "p.business_name, p.user_id",
    "-business_name": "p.business_name DESC, p.user_id DESC",
    "years_of_experience": "p.years_of_experience NULLS LAST, p.user_id",
    "-years_of_experience": "p.years_of_experience DESC NULLS LAST, p.user_id DESC",
    "created_at": "p.created_at, p.user_id",
    "-created_at": "p.created_at DESC, p.user_id DESC",
}


def search_providers(asked: ProviderSearch, *, start: int, size: int) -> Found:
    """One page. One query; one more for words, and twice as many where typing errors are mended."""
    if not asked.search.strip():
        return _providers(asked, None, start, size)
    words = read_words(asked.search)
    if words.is_empty:
        return 0, []
    found = _providers(asked, words, start, size)
    if found[0]:
        return found
    better = mended(words)
    return _providers(asked, better, start, size) if better else found


def _providers(asked: ProviderSearch, words: Words | None, start: int, size: int) -> Found:
    conditions = _provider_conditions(asked, words)
    order, values = _provider_order(asked.ordering or _NEWEST, asked.where)
    if asked.ordering is None and words is not None:
        order, values = "ts_rank(p.words, %s::tsquery) DESC, p.user_id DESC", [words.tsquery]
    statement = (
        f"WITH found AS (SELECT p.user_id, row_number() OVER (ORDER BY {order}) AS place FROM catalog_provider AS p"
        f" {_STANDING} WHERE {conditions.sql})"
        " SELECT (SELECT count(*) FROM found),"
        " ARRAY(SELECT user_id FROM found WHERE place > %s AND place <= %s ORDER BY place)"
    )
    ((count, ids),) = _rows(statement, [*values, *conditions.values, start, start + size])
    return min(count, MAX_OFFSET), list(ids)


def _provider_conditions(asked: ProviderSearch, words: Words | None) -> Conditions:
    found = asked.where.conditions()
    found.add("p.is_listed AND p.business_name <> ''")
    if words is not None:
        found.add("p.words @@ %s::tsquery", words.tsquery)
    if asked.categories is not None:
        found.add(
            "EXISTS (SELECT FROM catalog_provider_category AS c WHERE c.provider_id = p.user_id"
            " AND c.category_id = ANY(%s))",
            list(asked.categories),
        )
    for text, value in (
        ("p.years_of_experience >= %s", asked.min_years),
        ("p.service_radius_km >= %s", asked.min_radius_km),
        ("p.is_onboarded = %s", asked.is_onboarded),
        ("lower(p.city) = lower(%s)", asked.city or None),
        ("st.average >= %s::numeric", asked.min_rating),
    ):
        if value is not None:
            found.add(text, value)
    return found


def _provider_order(ordering: str, where: Where) -> tuple[str, list[Any]]:
    if where.near is None or ordering.lstrip("-") != "distance":
        return {**_PROVIDER_ORDERS, **_RATING}[ordering], []
    distance, values = distance_from(where.near)
    return f"{distance}{' DESC' if ordering.startswith('-') else ''}, p.user_id", values


def _rows(statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Planned anew each time, with its values in view: how common a word is decides everything."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
