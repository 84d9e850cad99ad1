"""Proving an address, and recovering or changing a password.

The link in a mail opens a page, and its button proves the address: programs that look through mails open links, but
press no buttons. A form sends no JSON and the page needs no script, so the button has an operation of its own.
"""

import base64
import hashlib
import re
from typing import Annotated, Any, Literal

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils import translation
from ninja import Query
from ninja.responses import Status

from backend.accounts.endpoints.account import device_of
from backend.accounts.endpoints.router import router
from backend.accounts.errors import EmailTaken, InvalidCode, PhoneTaken, ProofRequired
from backend.accounts.models import CodePurpose
from backend.accounts.schemas.recovery import (
    CodeAskedOut,
    EmailIn,
    EmailVerifyIn,
    LinkToken,
    PasswordChangeIn,
    PasswordResetConfirmIn,
    PasswordResetIn,
    PhoneIn,
    PhoneVerifyIn,
    VerifiedOut,
)
from backend.accounts.services import codes, recovery, verification
from backend.accounts.services.signing_in import AGENT_LENGTH
from backend.core import auth, clock
from backend.core.openapi import problems

PAGE: dict[str, Any] = {"responses": {200: {"content": {"text/html": {"schema": {"type": "string"}}}}}}
FORM = "application/x-www-form-urlencoded"
LINK_FORM = {
    "required": True,
    "content": {
        FORM: {"schema": {"type": "object", "required": ["token"], "properties": {"token": {"type": "string"}}}}
    },
}


@router.post("/auth/email/verification/", response={202: CodeAskedOut}, auth=None, operation_id="askEmailVerification")
def ask_email_verification(request: HttpRequest, payload: EmailIn) -> Status[dict[str, Any]]:
    """Send a six-digit code and a link to an e-mail address that is to be proved.

    The answer is the same whether or not an account has the address. An earlier code works no more. Five a day for an
    address, ten a day from a network.
    """
    return _ask(request, CodePurpose.VERIFY_EMAIL, payload.email)


@router.post(
    "/auth/email/verify/",
    response=VerifiedOut,
    auth=None,
    operation_id="verifyEmail",
    openapi_extra=problems(InvalidCode, EmailTaken),
)
def verify_email(request: HttpRequest, payload: EmailVerifyIn) -> dict[str, Any]:
    """Prove an e-mail address with the code that went there, or with the token of the link.

    A code works for ten minutes, once, and is dead after five tries. A pending address becomes the account's;
    `email_taken` when another account has it by then.
    """
    if payload.token is not None:
        verification.verify_by_link(token=payload.token, now=clock.now())
    else:
        verification.verify(address=payload.email or "", code=payload.code or "", now=clock.now())
    return {"channel": "email"}


@router.get(
    "/auth/email/verify/",
    response=VerifiedOut,
    auth=None,
    operation_id="openEmailLink",
    openapi_extra={**problems(InvalidCode, EmailTaken), **PAGE},
)
def open_email_link(request: HttpRequest, token: Annotated[LinkToken, Query()]) -> dict[str, Any] | HttpResponse:
    """Open the mail's link: a page with a button that proves the e-mail address.

    The page itself changes nothing, since programs that look through mails open links, too. An app that was opened by
    the link asks with `Accept: application/json`, which proves the address at once.
    """
    accepted = request.headers.get("Accept", "")
    if "application/json" in accepted and "text/html" not in accepted:
        verification.verify_by_link(token=token, now=clock.now())
        return {"channel": "email"}
    try:
        language = verification.language_of_link(token=token, now=clock.now())
    except InvalidCode as problem:
        return _dead_link(request, problem)
    return _page("link_confirm", language=language, token=token)


@router.post(
    "/auth/email/verify/form/",
    auth=None,
    operation_id="pressEmailButton",
    openapi_extra={**problems(InvalidCode, EmailTaken), **PAGE, "requestBody": LINK_FORM},
)
def press_email_button(request: HttpRequest) -> HttpResponse:
    """Press the button of the page that the mail's link opened: it proves the e-mail address. The answer is a page."""
    token = request.POST.get("token", "") if request.content_type == FORM else ""
    try:
        user = verification.verify_by_link(token=token, now=clock.now())
    except (InvalidCode, EmailTaken) as problem:
        return _dead_link(request, problem)
    return _page("link_opened", language=user.language)


@router.post("/auth/phone/verification/", response={202: CodeAskedOut}, auth=None, operation_id="askPhoneVerification")
def ask_phone_verification(request: HttpRequest, payload: PhoneIn) -> Status[dict[str, Any]]:
    """Send a six-digit code by SMS to a phone number that is to be proved.

    The answer is the same whether or not an account has the number. An earlier code works no more. Five a day for a
    number, ten a day from a network.
    """
    return _ask(request, CodePurpose.VERIFY_PHONE, payload.phone_number)


@router.post(
    "/auth/phone/verify/",
    response=VerifiedOut,
    auth=None,
    operation_id="verifyPhone",
    openapi_extra=problems(InvalidCode, PhoneTaken),
)
def verify_phone(request: HttpRequest, payload: PhoneVerifyIn) -> dict[str, Any]:
    """Prove a phone number with the code that went there. It works for ten minutes, once, and dies after five tries.

    A pending number becomes the account's; `phone_taken` when another account has it by then.
    """
    verification.verify(address=payload.phone_number, code=payload.code, now=clock.now())
    return {"channel": "sms"}


@router.post("/auth/password/reset/", response={202: CodeAskedOut}, auth=None, operation_id="askPasswordReset")
def ask_password_reset(request: HttpRequest, payload: PasswordResetIn) -> Status[dict[str, Any]]:
    """Send a code for choosing a new password, by e-mail or SMS.

    The answer is the same whether or not an account has the address or number. Five a day for an address, ten a day
    from a network. A device that the account knows, by a sign-in or a code of the last day, has five of its own for an
    address that was proved, whatever strangers ask for.
    """
    return _ask(request, CodePurpose.RESET_PASSWORD, payload.address)


@router.post(
    "/auth/password/reset/confirm/",
    response={204: None},
    auth=None,
    operation_id="confirmPasswordReset",
    openapi_extra=problems(InvalidCode),
)
def confirm_password_reset(request: HttpRequest, payload: PasswordResetConfirmIn) -> Status[None]:
    """Choose a new password with the code. Every session ends, and the owner is told."""
    recovery.reset_password(
        address=payload.address,
        code=payload.code,
        new_password=payload.new_password,
        device=device_of(request),
        now=clock.now(),
    )
    return Status(204, None)


@router.post(
    "/auth/password/change/",
    response={204: None},
    auth=auth.any_user,
    operation_id="changePassword",
    openapi_extra=problems(ProofRequired),
)
def change_password(request: HttpRequest, payload: PasswordChangeIn) -> Status[None]:
    """Change my password. My other sessions end; this one goes on."""
    recovery.change_password(
        actor=auth.actor(request), password=payload.password, new_password=payload.new_password, now=clock.now()
    )
    return Status(204, None)


def _ask(request: HttpRequest, purpose: CodePurpose, address: str) -> Status[dict[str, Any]]:
    codes.ask(purpose=purpose, address=address, agent=device_of(request).agent[:AGENT_LENGTH], now=clock.now())
    channel: Literal["email", "sms"] = "email" if "@" in address else "sms"
    return Status(202, {"channel": channel, "expires_in_seconds": round(codes.LIFETIME.total_seconds())})


def _dead_link(request: HttpRequest, problem: InvalidCode | EmailTaken) -> HttpResponse:
    if "text/html" not in request.headers.get("Accept", ""):
        raise problem
    name = "link_taken" if isinstance(problem, EmailTaken) else "link_dead"
    return _page(name, language=translation.get_language_from_request(request), status=problem.status)


def _page(name: str, *, language: str, status: int = 200, **values: str) -> HttpResponse:
    """A page of our own, without a script, that nothing of another host belongs to."""
    with translation.override(language):
        shown = {**values, "language": language, "is_rtl": translation.get_language_bidi()}
        page = render_to_string(f"accounts/pages/{name}.html", shown)
    (style,) = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    headers = {
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return HttpResponse(page, status=status, headers=headers)
