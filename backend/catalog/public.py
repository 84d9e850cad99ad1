"""What other modules may tell the catalogue, and ask of it: ids and plain values in, frozen dataclasses out."""

from backend.catalog.selectors import standings_of
from backend.catalog.services import record_finished_work, record_review
from backend.catalog.values import ReviewView, Standing

__all__ = ["ReviewView", "Standing", "record_finished_work", "record_review", "standings_of"]
