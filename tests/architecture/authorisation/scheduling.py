"""Who may do what in scheduling. The world's booking is a request of its client to its assistant."""

from tests.architecture.authorisation.rules import Outcome, Rule, any_user, party

LATER = {"starts_at": "2049-01-01T10:00:00Z"}
REQUESTED: dict[str, Outcome] = {"client": 403, "assistant": 409, "manager": 409, "admin": 409}
"""For providers, of what has been confirmed."""

TABLE = {
    "listBookings": any_user("GET", "/bookings/"),
    "createBooking": Rule(
        "POST",
        "/bookings/",
        {"provider": 10**15, **LATER, "ends_at": "2049-01-01T11:00:00Z"},
        others=403,
        exceptions=(("client", 422), ("other_client", 422)),
    ),
    "readBooking": party("GET", "/bookings/{booking}/"),
    "updateBooking": party("PATCH", "/bookings/{booking}/", {"notes": "Ring twice"}),
    "deleteBooking": party("DELETE", "/bookings/{booking}/"),
    "confirmBooking": party("POST", "/bookings/{booking}/confirm/", client=403),
    "unconfirmBooking": party("POST", "/bookings/{booking}/unconfirm/", **REQUESTED),
    "cancelBooking": party("POST", "/bookings/{booking}/cancel/", {"reason": "Ill"}),
    "rescheduleBooking": party("POST", "/bookings/{booking}/reschedule/", LATER, client=409),
    "completeBooking": party("POST", "/bookings/{booking}/complete/", **REQUESTED),
    "recordNoShow": party("POST", "/bookings/{booking}/no-show/", **REQUESTED),
    "previewCancellation": party("GET", "/bookings/{booking}/cancellation-preview/"),
    "listBookingHistory": party("GET", "/bookings/{booking}/history/"),
}
