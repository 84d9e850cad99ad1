"""Who may do what in messaging."""

from tests.architecture.authorisation.rules import MESSAGE, party

TABLE = {
    "listMessages": party("GET", "/conversations/{conversation}/messages/", manager=404, admin=404),
    "sendMessage": party("POST", "/conversations/{conversation}/messages/", MESSAGE, manager=404, admin=404),
}
