"""What other modules may tell the catalogue, and ask of it: ids and plain values in, frozen dataclasses out."""

from backend.catalog.selectors.standings import bookable_service, provider_names, standings_of
from backend.catalog.selectors.tree import is_category
from backend.catalog.services.demo import DemoReview, DemoShop, open_demo_shops, record_demo_reviews
from backend.catalog.services.openings import set_openings
from backend.catalog.services.reviews import record_review
from backend.catalog.services.work import record_finished_work, withdraw_finished_work
from backend.catalog.values import OpenCalendar, ReviewView, ServiceView, Standing

__all__ = [
    "DemoReview",
    "DemoShop",
    "OpenCalendar",
    "ReviewView",
    "ServiceView",
    "Standing",
    "bookable_service",
    "is_category",
    "open_demo_shops",
    "provider_names",
    "record_demo_reviews",
    "record_finished_work",
    "record_review",
    "set_openings",
    "standings_of",
    "withdraw_finished_work",
]
