"""What other modules may have of scheduling: ids and plain values in, frozen dataclasses out."""

from backend.scheduling.selectors.calendars import notify_emails_of
from backend.scheduling.services.demo import DemoVisit, open_demo_calendars, open_demo_shop, record_demo_visits

__all__ = ["DemoVisit", "notify_emails_of", "open_demo_calendars", "open_demo_shop", "record_demo_visits"]
