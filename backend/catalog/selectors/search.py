"""The search for services and for providers.

A list is read to its 10,000th row at most, so no more are counted. Where fewer match, one statement finds, counts and
sorts them. Of few (a thousand) all are ranked; of more, whose relevance hardly differs, those with the words in title
or category come first, then the others, the newest first. Of even more an index gives them in their order, and only as
many rows are looked at as are shown.
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
MANY_PROVIDERS = 300
"""From so many on their services are not gathered one by one."""
MOST = MAX_OFFSET
Found = tuple[int, list[int]]
"""How many there are, at most 10,000, and the ids of the page."""

Order = Sequence[tuple[str, str]]
"""What is compared, one after the other, and in which direction."""

_NOBODY = "{}"
_BY_PROVIDER = {"rating", "distance"}
_NEWEST = "-created_at"
_ORDERS: dict[str, Order] = {
    "price": [("s.price_thousandths", ""), ("s.id", "")],
    "-price": [("s.price_thousandths", "DESC"), ("s.id", "DESC")],
    "created_at": [("s.created_at", ""), ("s.id", "")],
    "-created_at": [("s.created_at", "DESC"), ("s.id", "DESC")],
}
_PLACE: Order = [("p.place", ""), ("s.id", "DESC")]
"""Of their providers among those who are eligible."""
_STANDING = "LEFT JOIN catalog_provider_standing AS st ON st.user_id = p.user_id"
_RATING: dict[str, Order] = {
    "rating": [("st.average", "NULLS LAST"), ("st.rating_count", ""), ("p.user_id", "")],
    "-rating": [("st.average", "DESC NULLS LAST"), ("st.rating_count", "DESC"), ("p.user_id", "DESC")],
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
    """One page. One query, and one more each for the words and for who comes there and is free then; one to three more
    where ten thousand match, and all but that for the words twice where typing errors are mended."""
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
        self.tsquery = words.tsquery if words else None
        self.is_ranked = asked.ordering is None and words is not None
        self.by_provider = (asked.ordering or "").lstrip("-") in _BY_PROVIDER
        self.order = _PLACE if self.by_provider else _ORDERS[asked.ordering or _NEWEST]
        self.conditions = _service_conditions(asked, self.tsquery)
        # Everybody who is listed is no condition on services that are shown: only their order matters then.
        has_conditions = asked.where.near is not None or asked.where.free is not None
        self.providers = _eligible(asked) if has_conditions or self.by_provider else None
        if has_conditions:
            # Beside words, the services of many providers are looked through faster than gathered from their index.
            are_many = words is not None and (self.providers or "").count(",") > MANY_PROVIDERS
            column = "(s.provider_id + 0)" if are_many else "s.provider_id"
            self.conditions.add(f"{column} = ANY(%s::bigint[])", self.providers)
            more = asked.where.conditions_of_services()
            self.conditions.add(more.sql, *more.values)

    def page(self, start: int, size: int) -> Found:
        if self.providers == _NOBODY:
            return 0, []
        count, ids = self._sorted(start, size)
        if ids is not None:
            return count, ids
        if self.by_provider:
            return count, self._by_provider(start, size)
        return count, self._by_relevance(start, size) if self.is_ranked else self._slice(start, size)

    def _sorted(self, start: int, size: int) -> tuple[int, list[int] | None]:
        """All that match, counted and sorted; None where they are too many."""
        keys = ", ".join(f"{key} AS key{number}" for number, (key, _) in enumerate(self.order))
        order = ", ".join(f"s.key{number} {direction}" for number, (_, direction) in enumerate(self.order))
        page = _cut("s", order)
        values: list[Any] = [start, size]
        flags: list[Any] = []
        if self.is_ranked:
            keys, flags = f"s.head @@ %s::tsquery AS is_head, {keys}", [self.tsquery]
            with_words = "s JOIN catalog_service AS its ON its.id = s.id"
            ranked = _cut(with_words, f"s.is_head DESC, ts_rank(its.words, %s::tsquery) DESC, {order}")
            page = f"CASE WHEN n <= {FEW} THEN {ranked} ELSE {_cut('s', f's.is_head DESC, {order}')} END"
            values = [self.tsquery, *values, *values]
        joined = ""
        if self.by_provider:
            joined = "JOIN unnest(%s::bigint[]) WITH ORDINALITY AS p (user_id, place) ON p.user_id = s.provider_id"
            flags = [self.providers]
        statement = (
            f"WITH s AS MATERIALIZED (SELECT s.id, {keys} FROM catalog_service AS s {joined}"
            f" WHERE {self.conditions.sql} LIMIT {MOST})"
            f" SELECT n, CASE WHEN n < {MOST} THEN {page} END FROM (SELECT count(*) AS n FROM s) AS counted"
        )
        ((count, ids),) = _rows(statement, [*flags, *self.conditions.values, *values])
        return count, ids

    def _by_relevance(self, start: int, size: int) -> list[int]:
        """Those with the words in title or category, then the others."""
        first = self._slice(start, size, "s.head @@ %s::tsquery")
        if len(first) == size:
            return first
        before = start + len(first) if first else self._count_heads(start)
        return first + self._slice(max(0, start - before), size - len(first), "NOT s.head @@ %s::tsquery")

    def _slice(self, start: int, size: int, tier: str = "true") -> list[int]:
        statement = (
            f"SELECT s.id FROM catalog_service AS s WHERE {self.conditions.sql} AND {tier}"
            f" ORDER BY {_text(self.order)} OFFSET %s LIMIT %s"
        )
        flags = [self.tsquery] if "%s" in tier else []
        return [pk for (pk,) in _rows(statement, [*self.conditions.values, *flags, start, size])]

    def _count_heads(self, most: int) -> int:
        statement = (
            f"SELECT count(*) FROM (SELECT FROM catalog_service AS s WHERE {self.conditions.sql}"
            " AND s.head @@ %s::tsquery LIMIT %s) AS n"
        )
        ((count,),) = _rows(statement, [*self.conditions.values, self.tsquery, most])
        return int(count)

    def _by_provider(self, start: int, size: int) -> list[int]:
        """In the order of their providers, some of them at a time until the page is full."""
        found: list[int] = []
        for some in _growing((self.providers or _NOBODY)[1:-1].split(",")):
            statement = (
                f"SELECT s.id FROM catalog_service AS s WHERE {self.conditions.sql}"
                " AND s.provider_id = ANY(%s::bigint[])"
                " ORDER BY array_position(%s::bigint[], s.provider_id), s.id DESC"
            )
            array = f"{{{','.join(some)}}}"
            found += [pk for (pk,) in _rows(statement, [*self.conditions.values, array, array])]
            if len(found) >= start + size:
                break
        return found[start : start + size]


def _growing(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Fifty, a hundred, two hundred of them …"""
    at, some = 0, 50
    while at < len(ids):
        yield ids[at : at + some]
        at, some = at + some, some * 2


def _eligible(asked: ServiceSearch) -> str:
    """Who comes there and is free then, in their own order where one is asked for. One query.

    As an array in PostgreSQL's own words, thousands of ids maybe: it is handed back as it came.
    """
    conditions = asked.where.conditions()
    conditions.add("p.is_listed")
    if asked.provider_id is not None:
        conditions.add("p.user_id = %s", asked.provider_id)
    order: Order = [("p.user_id", "")]
    values: list[Any] = []
    if asked.ordering is not None and asked.ordering.lstrip("-") in _BY_PROVIDER:
        order, values = _provider_order(asked.ordering, asked.where)
    statement = (
        f"SELECT coalesce(array_agg(p.user_id ORDER BY {_text(order)}), '{{}}')::text FROM catalog_provider AS p"
        f" {_STANDING} WHERE {conditions.sql}"
    )
    ((ids,),) = _rows(statement, [*values, *conditions.values])
    return str(ids)


def _service_conditions(asked: ServiceSearch, tsquery: str | None) -> Conditions:
    found = Conditions()
    found.add("s.is_shown")
    if tsquery is not None:
        found.add("s.words @@ %s::tsquery", tsquery)
    if asked.categories is not None:
        found.add("s.category_id = ANY(%s)", list(asked.categories))
    for text, value in (
        ("s.provider_id = %s", asked.provider_id),
        ("s.price_thousandths >= %s", asked.min_price),
        ("s.price_thousandths <= %s", asked.max_price),
    ):
        if value is not None:
            found.add(text, value)
    return found


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


_PROVIDER_ORDERS: dict[str, Order] = {
    "business_name": [("p.business_name", ""), ("p.user_id", "")],
    "-business_name": [("p.business_name", "DESC"), ("p.user_id", "DESC")],
    "years_of_experience": [("p.years_of_experience", "NULLS LAST"), ("p.user_id", "")],
    "-years_of_experience": [("p.years_of_experience", "DESC NULLS LAST"), ("p.user_id", "DESC")],
    "created_at": [("p.created_at", ""), ("p.user_id", "")],
    "-created_at": [("p.created_at", "DESC"), ("p.user_id", "DESC")],
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
        order, values = [("ts_rank(p.words, %s::tsquery)", "DESC"), ("p.user_id", "DESC")], [words.tsquery]
    statement = (
        "WITH found AS (SELECT p.user_id,"
        f" row_number() OVER (ORDER BY {_text(order)}) AS place FROM catalog_provider AS p"
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


def _provider_order(ordering: str, where: Where) -> tuple[Order, list[Any]]:
    if where.near is None or ordering.lstrip("-") != "distance":
        return {**_PROVIDER_ORDERS, **_RATING}[ordering], []
    distance, values = distance_from(where.near)
    return [(distance, "DESC" if ordering.startswith("-") else ""), ("p.user_id", "")], values


def _cut(rows: str, order: str) -> str:
    """The ids of a page of these rows."""
    return f"ARRAY(SELECT s.id FROM {rows} ORDER BY {order} OFFSET %s LIMIT %s)"


def _text(order: Order) -> str:
    return ", ".join(f"{key} {direction}" for key, direction in order)


def _rows(statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Planned anew each time, with its values in view: how common a word is decides everything."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
