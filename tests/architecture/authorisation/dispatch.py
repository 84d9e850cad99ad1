"""Who may do what in dispatch."""

from tests.architecture.authorisation.rules import ASSISTANTS, MANAGERS, MESSAGE, any_user, only, party, public
from tests.support.world import PLACE

TABLE = {
    "quoteAssistance": any_user("POST", "/assistance/quote/", {"service_type": "towing", "pickup": PLACE}),
    "requestAssistance": only(
        "other_client", "POST", "/assistance/", {"service_type": "towing", "pickup": PLACE}, client=409
    ),
    "listAssistance": any_user("GET", "/assistance/"),
    "readAssistance": party("GET", "/assistance/{job}/"),
    "acceptAssistance": only(
        ASSISTANTS, "POST", "/assistance/{job}/accept/", assistant="done", rival=409, other_assistant=404
    ),
    "declineAssistance": only(
        ASSISTANTS, "POST", "/assistance/{job}/decline/", assistant=409, rival=409, other_assistant=404
    ),
    "changeAssistanceStatus": party("POST", "/assistance/{job}/status/", {"status": "ongoing"}, client=403),
    "rateAssistance": party(
        "POST", "/assistance/{job}/rating/", {"rating": 5}, client=409, assistant=403, manager=409, admin=409
    ),
    "readAssistanceTrack": party("GET", "/assistance/{job}/track/"),
    "listAssistanceHistory": party("GET", "/assistance/{job}/history/"),
    "readAssistanceTrace": only(MANAGERS, "GET", "/assistance/{job}/trace/"),
    "listAssistanceMessages": party("GET", "/assistance/{job}/messages/", manager=404, admin=404),
    "sendAssistanceMessage": party("POST", "/assistance/{job}/messages/", MESSAGE, manager=404, admin=404),
    "listTariffs": public("GET", "/tariffs/"),
    "createTariff": only(
        MANAGERS,
        "POST",
        "/tariffs/",
        {
            "service_type": "towing",
            "vehicle_class": "light",
            "base": "1.00",
            "per_km": "1.00",
            "minimum": "1.00",
            "currency": "DZD",
            "road_factor": "1.30",
            "valid_from": "2049-01-01T00:00:00Z",
        },
    ),
    "listAssistants": any_user("GET", "/assistants/"),
    "readMyAssistant": only(ASSISTANTS, "GET", "/me/assistant/"),
    "updateMyAssistant": only(ASSISTANTS, "PATCH", "/me/assistant/", {"vehicle_type": "Bigger truck"}),
    "changeMyDuty": only(ASSISTANTS, "POST", "/me/assistant/status/", {"is_active": False}),
    "reportLocation": any_user("POST", "/me/location/", PLACE),
}
