"""Who may do what in notifications."""

from tests.architecture.authorisation.rules import MANAGERS, Outcome, Rule, any_user, only, public

_CLIENTS: tuple[tuple[str, Outcome]] = (("client", "done"),)

TABLE = {
    "listNotifications": any_user("GET", "/notifications/"),
    "countUnreadNotifications": any_user("GET", "/notifications/unread-count/"),
    "readNotification": Rule("POST", "/notifications/{notification}/read/", others=404, exceptions=_CLIENTS),
    "readAllNotifications": any_user("POST", "/notifications/read-all/"),
    "deleteNotification": Rule("DELETE", "/notifications/{notification}/", others=404, exceptions=_CLIENTS),
    "clearReadNotifications": any_user("DELETE", "/notifications/"),
    "readNotificationPreferences": any_user("GET", "/notifications/preferences/"),
    "replaceNotificationPreferences": any_user(
        "PUT",
        "/notifications/preferences/",
        {
            "types": [{"type": "announcement", "email": False}],
            "quiet_hours": {"start": "22:00", "until": "07:00"},
            "daily_email": True,
            "language": "fr",
        },
    ),
    "registerDevice": any_user("POST", "/devices/", {"kind": "fcm", "token": "a-token"}),
    "removeDevice": Rule("DELETE", "/devices/{device}/", others=404, exceptions=_CLIENTS),
    "readPushKey": public("GET", "/push/key/"),
    "openUnsubscribeLink": public("GET", "/unsubscribe/{token}/"),
    "unsubscribe": public("POST", "/unsubscribe/{token}/"),
    "listUndelivered": only(MANAGERS, "GET", "/admin/undelivered/"),
    "retryUndelivered": only(MANAGERS, "POST", "/admin/undelivered/{delivery}/retry/"),
}
