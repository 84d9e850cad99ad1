"""Who may do what in scheduling. The world's booking is a request of its client to its assistant."""

from tests.architecture.authorisation.rules import ASSISTANTS, Outcome, Rule, any_user, only, owners, party, public

PROVIDERS = f"{ASSISTANTS} freelancer"
HOURS = {"day_of_week": 0, "start_time": "09:00", "end_time": "17:00"}
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
    "reviewBooking": party(
        "POST", "/bookings/{booking}/reviews/", {"rating": 5}, client=409, assistant=409, manager=403, admin=403
    ),
    "listAvailability": any_user("GET", "/availability/"),
    "addAvailability": only(PROVIDERS, "POST", "/availability/", HOURS),
    "readAvailabilityOf": any_user("GET", "/availability/{availability}/"),
    "replaceAvailability": only("assistant manager admin", "PUT", "/availability/{availability}/", HOURS),
    "deleteAvailability": only("assistant manager admin", "DELETE", "/availability/{availability}/"),
    "listTimeOff": only(PROVIDERS, "GET", "/time-off/"),
    "addTimeOff": only(
        PROVIDERS, "POST", "/time-off/", {"starts_at": "2049-01-01T00:00:00Z", "ends_at": "2049-01-02T00:00:00Z"}
    ),
    "deleteTimeOff": owners("DELETE", "/time-off/{time_off}/", manager="done", admin="done"),
    "listMyResources": only(PROVIDERS, "GET", "/me/resources/"),
    "addResource": only(PROVIDERS, "POST", "/me/resources/", {"name": "Chair 2"}),
    "updateResource": owners("PATCH", "/me/resources/{resource}/", {"name": "Chair 3"}, manager="done", admin="done"),
    "deleteResource": owners("DELETE", "/me/resources/{resource}/", manager="done", admin="done"),
    "listProviderResources": public("GET", "/providers/{provider}/resources/"),
    "readBookingPolicy": only(PROVIDERS, "GET", "/me/booking-policy/"),
    "setBookingPolicy": only(PROVIDERS, "PUT", "/me/booking-policy/", {"time_zone": "Africa/Algiers"}),
    "listFreeSlots": public("GET", "/providers/{provider}/slots/"),
    "readCalendarLink": any_user("GET", "/me/calendar/"),
    "renewCalendarLink": any_user("POST", "/me/calendar/"),
    "readCalendarFeed": public("GET", "/calendars/{calendar_token}.ics"),
}
