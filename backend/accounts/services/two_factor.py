"""The second factor: the codes of an authenticator (TOTP, RFC 6238), and recovery codes for who lost it.

A code works once: the step of the last one is kept, and none up to it is taken again (RFC 6238, section 5.2). After
five wrong ones in a row each further try has to wait, longer every time. Whoever is made to wait still gets in with a
recovery code, which nobody can guess.

Switching it on or off ends the other sessions: they began with less, or may be a thief's (ASVS 5.0, 7.4.3). The owner
is told of every change.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import pyotp
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.db import transaction

from backend.accounts.errors import InvalidCredentials, OtpRequired, ProofRequired, TwoFactorIsOff, TwoFactorIsOn
from backend.accounts.models import RecoveryCode, SecondFactor, User
from backend.accounts.selectors import get_own
from backend.accounts.services.ending import end_other_sessions
from backend.accounts.services.notices import Kind, notify
from backend.accounts.services.profile import lock_active
from backend.accounts.services.proof import check_password_of, prove
from backend.core import audit
from backend.core.actor import Actor
from backend.core.environment import environment
from backend.core.errors import invalid_field
from backend.core.outbox import emit
from backend.core.references import make_reference
from shared_contracts.events import AccessChanged
from shared_contracts.rooms import user_room

STEP_SECONDS = 30
DRIFT_STEPS = 1
"""The clock of a phone may be a step off."""
TRIES = 5
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=15), timedelta(days=1)
RECOVERY_CODES = 10
RECOVERY_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
RECOVERY_GROUPS, RECOVERY_GROUP_LENGTH = 4, 6
NONCE_BYTES = 12

_CODE = re.compile("[0-9]{6}")

log = structlog.get_logger("callout.accounts")


@dataclass(frozen=True, slots=True)
class SetUp:
    """What the owner is shown once, and nobody ever again."""

    secret: str
    """Base32, for typing."""
    otpauth_uri: str
    """For a QR code."""
    recovery_codes: list[str]


def begin(*, actor: Actor, password: str | None, now: datetime) -> SetUp:
    """Make a secret and recovery codes, in place of any that were never confirmed. It guards nothing until `confirm`.

    Raises ProofRequired unless the caller gives their password or has just signed in, RateLimited after wrong
    passwords, and TwoFactorIsOn.
    """
    user = get_own(actor)
    prove(actor=actor, user=user, password=password, now=now)
    secret = pyotp.random_base32()
    with transaction.atomic():
        lock_active(user.pk)
        if SecondFactor.objects.filter(user=user, confirmed_at__isnull=False).exists():
            raise TwoFactorIsOn
        SecondFactor.objects.filter(user=user).delete()
        factor = SecondFactor.objects.create(user=user, sealed_secret=_seal(secret, user_id=user.pk), created_at=now)
        codes = _make_recovery_codes(factor)
        _note(actor, "begun", user.pk, now=now)
    uri = pyotp.TOTP(secret).provisioning_uri(name=user.email or user.username, issuer_name="Callout")
    return SetUp(secret=secret, otpauth_uri=uri, recovery_codes=codes)


def confirm(*, actor: Actor, otp: str, now: datetime) -> None:
    """Turn it on, once the authenticator shows the right code, and end the other sessions. That code signs nobody in.

    Raises TwoFactorIsOff when nothing was begun, TwoFactorIsOn, or a 422 for a wrong code.
    """
    with transaction.atomic(durable=True):
        factor = _lock(actor.id)
        if factor is None:
            raise TwoFactorIsOff("Nothing was begun that could be confirmed.")
        if factor.confirmed_at is not None:
            raise TwoFactorIsOn
        is_right = _take_totp(factor, _plain(otp), now=now)
        if is_right:
            SecondFactor.objects.filter(pk=factor.pk).update(confirmed_at=now)
            _tell(actor, "two_factor_on", now=now)
    # Only now: the try must be counted although the answer is an error.
    if not is_right:
        raise invalid_field("body.otp", "this code is wrong or was used; after five wrong ones each try has to wait")


def turn_off(*, actor: Actor, password: str | None, otp: str, now: datetime) -> None:
    """Do without from now on, and end the other sessions.

    An account without a password proves itself by having signed in just now. Raises ProofRequired for a wrong password
    or code, RateLimited after wrong passwords, TwoFactorIsOff.
    """
    _prove_both(actor, password, otp, now=now)
    with transaction.atomic():
        lock_active(actor.id)
        SecondFactor.objects.filter(user_id=actor.id).delete()
        _tell(actor, "two_factor_off", now=now)


def renew_recovery_codes(*, actor: Actor, password: str | None, otp: str, now: datetime) -> list[str]:
    """Ten new recovery codes, shown this once; those that were left work no more. Raises as `turn_off` does."""
    _prove_both(actor, password, otp, now=now)
    with transaction.atomic():
        factor = _lock(actor.id)
        if factor is None or factor.confirmed_at is None:
            raise TwoFactorIsOff
        RecoveryCode.objects.filter(factor=factor).delete()
        codes = _make_recovery_codes(factor)
        _note(actor, "recovery_codes_renewed", actor.id, now=now)
        notify(user_id=actor.id, kind="recovery_codes_renewed", now=now)
    return codes


def _prove_both(actor: Actor, password: str | None, otp: str, *, now: datetime) -> None:
    """The password first, so that a wrong one uses up no code."""
    user = get_own(actor)
    if not SecondFactor.objects.filter(user=user, confirmed_at__isnull=False).exists():
        raise TwoFactorIsOff
    if user.has_usable_password():
        check_password_of(user, password or "", now=now)
    else:
        prove(actor=actor, user=user, password=None, now=now)
    if not take_code(user_id=user.pk, otp=otp, now=now):
        raise ProofRequired


def ask_for_code(*, user: User, otp: str | None, now: datetime) -> None:
    """The second half of signing in, after the first was right: nothing for those who have no second factor.

    Raises OtpRequired when no code was given, InvalidCredentials for a wrong one. Costs no query without a factor when
    `user` was read with it.
    """
    factor: SecondFactor | None = getattr(user, "second_factor", None)
    if factor is None or factor.confirmed_at is None:
        return
    if otp is None:
        raise OtpRequired
    if not take_code(user_id=user.pk, otp=otp, now=now):
        raise InvalidCredentials


def prove_fully(*, actor: Actor, password: str | None, otp: str | None, now: datetime) -> User:
    """`prove`, and a code where the second factor is on: for what cannot be taken back. Returns the caller's own row.

    Takes a hash and its own transactions, so call it in none. Raises ProofRequired, and RateLimited after wrong
    passwords.
    """
    user = get_own(actor)
    prove(actor=actor, user=user, password=password, now=now)
    is_on = SecondFactor.objects.filter(user=user, confirmed_at__isnull=False).exists()
    if is_on and (otp is None or not take_code(user_id=user.pk, otp=otp, now=now)):
        raise ProofRequired("A code of the second factor is wanted, too.")
    return user


@transaction.atomic(durable=True)
def take_code(*, user_id: int, otp: str, now: datetime) -> bool:
    """Use up a code of the authenticator or a recovery code; False for a wrong or used one, or while one has to wait.

    It returns where others raise: a failed try is counted, so it must be committed.
    """
    factor = _lock(user_id)
    if factor is None or factor.confirmed_at is None:
        return False
    code = _plain(otp)
    if _CODE.fullmatch(code):
        return _take_totp(factor, code, now=now)
    used, _ = RecoveryCode.objects.filter(factor=factor, digest=_digest(code)).delete()
    if used:
        left = RecoveryCode.objects.filter(factor=factor).count()
        _note(None, "recovery_code_used", user_id, changes={"left": left}, now=now)
        notify(user_id=user_id, kind="recovery_code_used", now=now)
    return bool(used)


def _lock(user_id: int) -> SecondFactor | None:
    """The row, held: tries that come at once are judged one after the other, so none is over-counted or missed."""
    return SecondFactor.objects.select_for_update(no_key=True).filter(pk=user_id).first()


def _take_totp(factor: SecondFactor, code: str, *, now: datetime) -> bool:
    if factor.failed_at is not None and factor.failures >= TRIES and now < factor.failed_at + _pause(factor.failures):
        return False
    step = _step_of(factor, code, now=now)
    mine = SecondFactor.objects.filter(pk=factor.pk)
    if step is None:
        mine.update(failures=factor.failures + 1, failed_at=now)
        return False
    return bool(mine.filter(last_step__lt=step).update(last_step=step, failures=0, failed_at=None))


def _pause(failures: int) -> timedelta:
    """How long the next try has to wait after so many wrong ones in a row, TRIES or more."""
    return min(FIRST_PAUSE * (1 << min(failures - TRIES, 10)), LONGEST_PAUSE)


def _step_of(factor: SecondFactor, code: str, *, now: datetime) -> int | None:
    """The time step whose code this is, around now; None when it is wrong."""
    secret = _unseal(bytes(factor.sealed_secret), user_id=factor.pk)
    if secret is None:
        return None
    totp, present = pyotp.TOTP(secret), int(now.timestamp()) // STEP_SECONDS
    steps = range(present - DRIFT_STEPS, present + DRIFT_STEPS + 1)
    return next((step for step in steps if hmac.compare_digest(totp.generate_otp(step), code)), None)


def _make_recovery_codes(factor: SecondFactor) -> list[str]:
    codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
    RecoveryCode.objects.bulk_create(RecoveryCode(factor=factor, digest=_digest(code)) for code in codes)
    return codes


def _new_recovery_code() -> str:
    letters = (
        "".join(secrets.choice(RECOVERY_ALPHABET) for _ in range(RECOVERY_GROUP_LENGTH)) for _ in range(RECOVERY_GROUPS)
    )
    return "-".join(letters)


def _plain(otp: str) -> str:
    """What was meant: people type spaces, dashes and capitals."""
    return "".join(otp.split()).replace("-", "").lower()


def _digest(code: str) -> bytes:
    return hashlib.sha256(_plain(code).encode()).digest()


def _seal(secret: str, *, user_id: int) -> bytes:
    """Encrypted for this person: in another's row it cannot be opened."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + _cipher(environment().secret_key).encrypt(nonce, secret.encode(), str(user_id).encode())


def _unseal(sealed: bytes, *, user_id: int) -> str | None:
    try:
        opened = _cipher(environment().secret_key).decrypt(
            sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], str(user_id).encode()
        )
    except InvalidTag:
        log.error("two_factor.cannot_be_opened", user_id=user_id, hint="was SECRET_KEY changed?")
        return None
    return opened.decode()


@cache
def _cipher(secret_key: str) -> AESGCM:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"callout second factor").derive(secret_key.encode())
    return AESGCM(derived)


def _tell(actor: Actor, kind: Kind, *, now: datetime) -> None:
    """The owner by mail, and sockets by an event: roles that sleep without a second factor wake or fall asleep."""
    _note(actor, kind.removeprefix("two_factor_"), actor.id, now=now)
    emit(AccessChanged(), rooms=[user_room(actor.id)], now=now)
    end_other_sessions(actor=actor, reason=f"{kind}_elsewhere", now=now)
    notify(user_id=actor.id, kind=kind, now=now)


def _note(
    actor: Actor | None, what: str, user_id: int, *, now: datetime, changes: dict[str, object] | None = None
) -> None:
    audit.record(
        actor=actor,
        action=f"accounts.two_factor_{what}",
        reference=make_reference("user", user_id),
        changes=changes,
        now=now,
    )
