"""What other modules may have of scheduling: ids and plain values in, frozen dataclasses out."""

from backend.scheduling.selectors.calendars import notify_emails_of

__all__ = ["notify_emails_of"]
