"""Who may do what: one table for every operation of the API. An operation that is missing here fails.

Each row is tried by every actor on a job that is under way. A refusal must not change anything, and what one may not
see must look exactly like what does not exist.
"""

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from backend.config.api import api as callout_api
from backend.core.openapi import operations
from tests.support.api import Answer
from tests.support.world import ACTORS, PLACE, World, everything, rolled_back

Outcome = Literal["done", 401, 403, 404, 409, 422]


@dataclass(frozen=True)
class Rule:
    """One operation: how it is called, and what each actor gets; whoever is not named gets `others`."""

    method: str
    path: str
    body: Any = None
    others: Outcome = "done"
    anonymous: Outcome = 401
    exceptions: tuple[tuple[str, Outcome], ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether nobody is asked to sign in first."""
        return self.anonymous in {"done", 422} or self.path in {
            "/auth/login/",
            "/auth/login/google/",
            "/auth/token/refresh/",
        }

    def expected(self, actor: str) -> Outcome:
        return dict(self.exceptions).get(actor, self.anonymous if actor == "anonymous" else self.others)


@dataclass(frozen=True)
class File:
    """A body that is a form with a file."""

    content: bytes
    fields: tuple[tuple[str, str], ...] = ()


def public(method: str, path: str, body: Any = None) -> Rule:
    return Rule(method, path, body, anonymous="done")


def any_user(method: str, path: str, body: Any = None) -> Rule:
    return Rule(method, path, body)


def unfit(method: str, path: str, body: Any = None) -> Rule:
    """For everybody, and refused: nobody has the code, or says what is asked."""
    return Rule(method, path, body, others=422, anonymous=422)


def only(roles: str, method: str, path: str, body: Any = None, **exceptions: Outcome) -> Rule:
    """For these actors; everybody else gets 403."""
    granted: dict[str, Outcome] = dict.fromkeys(roles.split(), "done")
    return Rule(method, path, body, others=403, exceptions=tuple({**granted, **exceptions}.items()))


def party(method: str, path: str, body: Any = None, **exceptions: Outcome) -> Rule:
    """For the job's client and assistant, and managers; to everybody else it does not exist."""
    granted: dict[str, Outcome] = dict.fromkeys(("client", "assistant", "manager", "admin"), "done")
    return Rule(method, path, body, others=404, exceptions=tuple({**granted, **exceptions}.items()))


def owners(method: str, path: str, body: Any = None, **exceptions: Outcome) -> Rule:
    """For the assistant whose document it is; to everybody else it does not exist."""
    granted: dict[str, Outcome] = {"assistant": "done"}
    return Rule(method, path, body, others=404, exceptions=tuple({**granted, **exceptions}.items()))


MANAGERS = "manager admin"
ASSISTANTS = "assistant rival other_assistant"
NEW_ASSISTANT = {
    "role": "assistant",
    "service_type": "towing",
    "vehicle_type": "Tow truck",
    "driving_license": {"category": "b", "number": "B-1", "expires_on": "2049-01-01"},
    "vehicle_registration_number": "1-2-3",
}
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a4944415478da6360000000020001e527defc0000000049454e44ae426082"
)
"""A PNG of one black pixel."""
MESSAGE = {"content": "Hello", "client_id": "c-1"}

TABLE = {
    # accounts
    "register": public(
        "POST",
        "/auth/register/",
        {"roles": ["client"], "name": "New", "email": "new@x.example", "password": "a long passphrase"},
    ),
    "login": Rule("POST", "/auth/login/", {"identifier": "nobody", "password": "wrong"}, others=401, anonymous=401),
    "refreshTokens": Rule("POST", "/auth/token/refresh/", {"refresh": "none"}, others=401, anonymous=401),
    "beginTwoFactor": any_user("POST", "/auth/two-factor/", {}),
    "confirmTwoFactor": Rule("POST", "/auth/two-factor/confirm/", {"otp": "000000"}, others=409),
    "endTwoFactor": Rule("DELETE", "/auth/two-factor/", {"otp": "000000"}, others=409),
    "loginWithGoogle": Rule(
        "POST", "/auth/login/google/", {"token": "none", "provider": "unknown"}, others=404, anonymous=404
    ),
    "listInvitations": only("admin", "GET", "/admin/invitations/"),
    "inviteManager": only("admin", "POST", "/admin/invitations/", {}),
    "withdrawInvitation": only("admin", "DELETE", "/admin/invitations/{invitation}/"),
    "logout": any_user("POST", "/auth/logout/", {}),
    "askEmailVerification": public("POST", "/auth/email/verification/", {"email": "nobody@x.example"}),
    "verifyEmail": unfit("POST", "/auth/email/verify/", {"email": "nobody@x.example", "code": "012345"}),
    "openEmailLink": unfit("GET", "/auth/email/verify/"),
    "askPhoneVerification": public("POST", "/auth/phone/verification/", {"phone_number": "+213550000000"}),
    "verifyPhone": unfit("POST", "/auth/phone/verify/", {"phone_number": "+213550000000", "code": "012345"}),
    "askPasswordReset": public("POST", "/auth/password/reset/", {"email": "nobody@x.example"}),
    "confirmPasswordReset": unfit(
        "POST",
        "/auth/password/reset/confirm/",
        {"email": "nobody@x.example", "code": "012345", "new_password": "a long passphrase"},
    ),
    "changePassword": any_user("POST", "/auth/password/change/", {"new_password": "a long passphrase"}),
    "readAvailability": unfit("GET", "/auth/availability/"),
    "listSessions": any_user("GET", "/auth/sessions/"),
    "endSession": Rule("DELETE", "/auth/sessions/{session}/", others=404, exceptions=(("client", "done"),)),
    "listAddresses": any_user("GET", "/me/addresses/"),
    "addAddress": any_user("POST", "/me/addresses/", {"street_address": "1 rue X", "city": "Oran"}),
    "updateAddress": Rule(
        "PATCH", "/me/addresses/{address}/", {"city": "Oran"}, others=404, exceptions=(("client", "done"),)
    ),
    "removeAddress": Rule("DELETE", "/me/addresses/{address}/", others=404, exceptions=(("client", "done"),)),
    "listUsers": public("GET", "/users/"),
    "readUser": public("GET", "/users/{username}/"),
    "readUserById": public("GET", "/users/by-id/{user}/"),
    "readMe": any_user("GET", "/me/"),
    "updateMe": any_user("PATCH", "/me/", {"city": "Oran"}),
    "takeRole": Rule("POST", "/me/roles/", {"role": "crew"}),
    # media
    "setMyPhoto": any_user("PUT", "/me/photo/", File(PICTURE)),
    "readMyPhoto": any_user("GET", "/me/photo/"),
    "deleteMyPhoto": any_user("DELETE", "/me/photo/"),
    "addDocument": any_user("POST", "/documents/", File(PICTURE, (("type", "other"),))),
    "listDocuments": any_user("GET", "/documents/"),
    "readDocument": owners("GET", "/documents/{document}/", manager="done", admin="done"),
    "replaceDocument": owners("PUT", "/documents/{document}/", File(PICTURE)),
    "deleteDocument": owners("DELETE", "/documents/{document}/"),
    "reviewDocument": only(MANAGERS, "POST", "/documents/{document}/review/", {"decision": "approve"}),
    # dispatch
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
    # messaging
    "listMessages": party("GET", "/conversations/{conversation}/messages/", manager=404, admin=404),
    "sendMessage": party("POST", "/conversations/{conversation}/messages/", MESSAGE, manager=404, admin=404),
}


MISSING = dict.fromkeys(("job", "conversation", "session", "address", "user", "document"), 10**9)


def call(world: World, rule: Rule, actor: str, **other: int) -> Answer:
    api, path = world.api(actor), world.path(rule.path, **other)
    if isinstance(rule.body, File):
        return api.upload(rule.method, path, rule.body.content, **dict(rule.body.fields))
    return api._send(rule.method, path, rule.body)


def statuses(answer: Answer) -> Outcome:
    return "done" if answer.status < 400 else answer.status  # type: ignore[return-value]


class TestAuthorisation:
    def test_every_operation_is_in_the_table_and_none_besides(self) -> None:
        served = {str(operation.operation_id): path for path, operation in operations(callout_api)}
        assert served.keys() == TABLE.keys()
        for operation_id, path in served.items():
            shape = path.replace("{assistance_id}", "{job}").replace("_id}", "}")
            assert TABLE[operation_id].path == shape

    def test_only_what_the_table_calls_public_is_served_without_signing_in(self) -> None:
        open_ones = {operation.operation_id for _, operation in operations(callout_api) if not operation.auth_callbacks}
        assert open_ones == {name for name, rule in TABLE.items() if rule.is_open}

    @pytest.mark.parametrize("operation_id", TABLE)
    def test_each_actor_gets_what_the_table_says(self, world: World, operation_id: str) -> None:
        rule = TABLE[operation_id]
        before = everything()
        for actor in ACTORS:
            with rolled_back():
                answer = call(world, rule, actor)
                assert statuses(answer) == rule.expected(actor), (actor, answer.body)
                if answer.status >= 400 and operation_id not in {"login", "refreshTokens"}:
                    assert everything() == before, actor

    @pytest.mark.parametrize("operation_id", [name for name, rule in TABLE.items() if "{" in rule.path])
    def test_what_one_may_not_see_looks_like_what_does_not_exist(self, world: World, operation_id: str) -> None:
        rule = TABLE[operation_id]
        for actor in ACTORS:
            if rule.expected(actor) == 404:
                hidden, missing = (call(world, rule, actor, **ids) for ids in ({}, MISSING))
                for answer in (hidden, missing):
                    del answer.body["request_id"]
                assert (hidden.status, hidden.body) == (missing.status, missing.body), actor
