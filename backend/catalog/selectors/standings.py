"""How providers stand, what can be booked of them, and what they are called."""

from collections.abc import Collection, Iterable

from backend.accounts import public as accounts
from backend.catalog.models import Provider, ProviderStanding, Service
from backend.catalog.values import ServiceView, Standing
from backend.core.hot import HotQuery

_STANDINGS = HotQuery(
    lambda ids: ProviderStanding.objects.filter(user__pk__any=ids).values_list(
        "user_id", "average", "rating_count", "unverified_count", "finished_jobs"
    ),
    ids=list,
)


def standings_of(provider_ids: Collection[int]) -> dict[int, Standing]:
    """How each of these providers stands; those without reviews and jobs at nought. One compiled query."""
    found = {
        user_id: Standing(average_rating=average, total_reviews=verified + unverified, finished_jobs=finished_jobs)
        for user_id, average, verified, unverified, finished_jobs in _STANDINGS.rows(ids=list(set(provider_ids)))
    }
    return {provider_id: found.get(provider_id, Standing()) for provider_id in provider_ids}


def bookable_service(service_id: int) -> ServiceView | None:
    """A service as those see it who book it, also an archived one; None where there is none. One query."""
    service = Service.objects.filter(pk=service_id).defer("words", "description").first()
    if service is None:
        return None
    return ServiceView(
        id=service.pk,
        provider_id=service.provider_id,
        title=service.title,
        price_minor=service.price,
        currency=service.currency,
        duration_minutes=service.duration_minutes,
        category_id=service.category_id,
        is_archived=service.archived_at is not None,
    )


def provider_names(provider_ids: Iterable[int]) -> dict[int, str]:
    """What these providers' businesses are called, or they themselves; unknown ids are left out. Two queries."""
    names = {person.id: person.name for person in accounts.people(provider_ids).values()}
    named = Provider.objects.filter(pk__in=list(names)).exclude(business_name="")
    return names | dict(named.values_list("pk", "business_name"))
