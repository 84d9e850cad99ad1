"""Who may do what in accounts."""

from tests.architecture.authorisation.rules import Rule, any_user, only, public, unfit

TABLE = {
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
    "renewRecoveryCodes": Rule("POST", "/auth/two-factor/recovery-codes/", {"otp": "000000"}, others=409),
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
    "pressEmailButton": unfit("POST", "/auth/email/verify/form/"),
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
    "replaceMe": any_user("PUT", "/me/", {"name": "New", "email": "new@x.example"}),
    "deleteMe": Rule("DELETE", "/me/", {}, exceptions=(("client", 409), ("assistant", 409))),
    "takeRole": Rule("POST", "/me/roles/", {"role": "crew"}),
}
