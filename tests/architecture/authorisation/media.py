"""Who may do what in media."""

from tests.architecture.authorisation.rules import MANAGERS, PICTURE, File, Rule, any_user, only, owners

TABLE = {
    "setMyPhoto": any_user("PUT", "/me/photo/", File(PICTURE)),
    "readMyPhoto": any_user("GET", "/me/photo/"),
    "deleteMyPhoto": any_user("DELETE", "/me/photo/"),
    "requestExport": any_user("POST", "/me/export/", {}),
    "readExport": Rule("GET", "/me/export/", others=404, exceptions=(("client", "done"),)),
    "addDocument": any_user("POST", "/documents/", File(PICTURE, (("type", "other"),))),
    "listDocuments": any_user("GET", "/documents/"),
    "readDocument": owners("GET", "/documents/{document}/", manager="done", admin="done"),
    "replaceDocument": owners("PUT", "/documents/{document}/", File(PICTURE)),
    "deleteDocument": owners("DELETE", "/documents/{document}/"),
    "reviewDocument": only(MANAGERS, "POST", "/documents/{document}/review/", {"decision": "approve"}),
}
