"""What the catalogue holds of a person: their profile and services, what they think of others and others of them."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import F

from backend.catalog.models import (
    CalendarOpenings,
    FinishedWork,
    PortfolioItem,
    Provider,
    ProviderCategory,
    Review,
    ReviewReport,
    Service,
)
from backend.catalog.selectors.reviews import shown_reviews
from backend.core import personal_data
from backend.core.personal_data import Part, rows_of
from backend.media import public as media

REVIEW = ("id", "reference", "rating", "comment", "created_at")
PROFILE = (
    *("business_name", "business_description", "years_of_experience", "license_number", "insurance_info"),
    *("service_radius_km", "hourly_rate", "currency", "lat", "lng", "contact_public", "created_at", "updated_at"),
)
SERVICE = ("id", "title", "description", "price", "currency", "duration_minutes", "archived_at", "created_at")


def export(user_id: int) -> Iterator[Part]:
    yield Part(name="catalog/profile.json", rows=rows_of(Provider.objects.filter(pk=user_id), *PROFILE))
    yield Part(name="catalog/services.json", rows=rows_of(Service.objects.filter(provider_id=user_id), *SERVICE))
    items = PortfolioItem.objects.filter(provider_id=user_id)
    yield Part(name="catalog/portfolio.json", rows=rows_of(items, "id", "title", "description", "completed_on"))
    for item in items.order_by("pk"):
        yield Part(name=f"catalog/portfolio-{item.pk}.webp", file=media.picture_file(item.picture))
    written = Review.objects.filter(author_id=user_id)
    yield Part(name="catalog/reviews_written.json", rows=rows_of(written, *REVIEW, "reviewed_id"))
    # What waits for this person's own review is not theirs to see yet.
    received = shown_reviews().filter(reviewed_id=user_id)
    yield Part(name="catalog/reviews_received.json", rows=rows_of(received, *REVIEW, "reply"))
    reports = ReviewReport.objects.filter(reporter_id=user_id)
    yield Part(name="catalog/reports.json", rows=rows_of(reports, "review_id", "reason", "created_at"))
    work = FinishedWork.objects.filter(provider_id=user_id)
    yield Part(name="catalog/finished_work.json", rows=rows_of(work, "reference", "finished_at"))


def erase(*, user_id: int, now: datetime) -> None:
    """Profile and portfolio are emptied, services archived under their titles, for those who booked them.

    Reviews stay: what a deleted account thought of a provider, and the books of who is gone. Nobody finds them there.
    """
    # Held: what is shown or offered at this moment is forgotten, too.
    if not Provider.objects.select_for_update(no_key=True).filter(pk=user_id).exists():
        return
    items = list(PortfolioItem.objects.filter(provider_id=user_id))
    for item in items:
        media.release_picture(item.picture, now=now)
    PortfolioItem.objects.filter(pk__in=[item.pk for item in items]).delete()
    services = Service.objects.filter(provider_id=user_id)
    services.filter(archived_at=None).update(archived_at=now, is_shown=False, version=F("version") + 1, updated_at=now)
    services.exclude(description="").update(description="")
    ProviderCategory.objects.filter(provider_id=user_id).delete()
    CalendarOpenings.objects.filter(provider_id=user_id).delete()
    ReviewReport.objects.filter(reporter_id=user_id).update(reason="")
    Provider.objects.filter(pk=user_id).update(
        **dict.fromkeys(("business_name", "business_description", "license_number", "insurance_info"), ""),
        **dict.fromkeys(("name", "city", "category_words", "currency"), ""),
        **dict.fromkeys(("years_of_experience", "service_radius_km", "hourly_rate", "lat", "lng", "position"), None),
        contact_public=False,
        is_onboarded=False,
        is_listed=False,
        updated_at=now,
    )


personal_data.holds("catalog", export=export, erase=erase)
