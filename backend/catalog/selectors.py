"""Every read of the catalogue."""

from collections.abc import Collection

from backend.catalog import rules
from backend.catalog.models import ProviderStanding
from backend.catalog.values import Standing


def standings_of(provider_ids: Collection[int]) -> dict[int, Standing]:
    """How each of these providers stands; those without reviews and jobs at nought. One query."""
    found = {
        row.user_id: Standing(
            average_rating=rules.average_rating(
                rating_sum=row.rating_sum,
                rating_count=row.rating_count,
                unverified_sum=row.unverified_sum,
                unverified_count=row.unverified_count,
            ),
            total_reviews=row.rating_count + row.unverified_count,
            finished_jobs=row.finished_jobs,
        )
        for row in ProviderStanding.objects.filter(pk__in=set(provider_ids))
    }
    return {provider_id: found.get(provider_id, Standing()) for provider_id in provider_ids}
