"""Who may do what: one row for every operation of the API, a file for each module."""

from tests.architecture.authorisation import accounts, catalog, dispatch, media, messaging, notifications, scheduling
from tests.architecture.authorisation.rules import Rule

TABLE: dict[str, Rule] = {
    **accounts.TABLE,
    **media.TABLE,
    **catalog.TABLE,
    **dispatch.TABLE,
    **messaging.TABLE,
    **scheduling.TABLE,
    **notifications.TABLE,
}
