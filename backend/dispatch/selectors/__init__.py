"""Every read of dispatch: jobs and who may see them, assistants on duty, and rows as the API shows them."""

from backend.dispatch.selectors.directory import Listed, list_assistants
from backend.dispatch.selectors.jobs import (
    AtWork,
    Trace,
    at_work,
    get_assistance_for,
    get_conversation_id,
    get_offer_to,
    get_party_assistance,
    get_trace,
    hold_offer_to,
    list_assistance_for,
    list_offers_to,
    list_tariffs,
    list_track,
    lock_searching,
    open_request_of,
    standing_of_offered,
    tariff_at,
)
from backend.dispatch.selectors.people import named

__all__ = [
    "AtWork",
    "Listed",
    "Trace",
    "at_work",
    "get_assistance_for",
    "get_conversation_id",
    "get_offer_to",
    "get_party_assistance",
    "get_trace",
    "hold_offer_to",
    "list_assistance_for",
    "list_assistants",
    "list_offers_to",
    "list_tariffs",
    "list_track",
    "lock_searching",
    "named",
    "open_request_of",
    "standing_of_offered",
    "tariff_at",
]
