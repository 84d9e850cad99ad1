"""Six-digit codes by e-mail and SMS: asked for, made and sent, redeemed once.

A request costs and answers the same whether or not an account has the address: it writes a row and a job, and the job
looks for the account. The code is made there, from the row's random id with the platform's secret, so that a repeated
job sends the same one; the row keeps only a digest. Tries are counted under a lock, so however many come at once, five
are judged (ASVS 5.0, 6.5; RELIABILITY.md A5, A7, L7).

Strangers cannot keep the owner out of recovery: a device that the account knows has requests and tries of its own for a
new password, and nothing but its own next request replaces its code. That is so for an address that the account has
proved; else whoever signs up with another's address would have more of both. So of one account twenty tries a day are
judged of all strangers together, and twenty of all its own devices together, each of them a comparison with one code:
in all, forty guesses a day. A stranger's succeed with 2 in 100,000 a day at most.
"""

import hashlib
import hmac
import uuid
from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import partial

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Lower

from backend.accounts.models import Code, CodePurpose, User
from backend.accounts.services.delays import is_known_device
from backend.core import mail, sms
from backend.core.environment import environment
from backend.core.errors import RateLimited
from backend.core.jobs import OutsideCall, enqueue
from backend.core.limits import whose_address
from backend.core.references import make_reference
from backend.core.request_context import client_address

LIFETIME = timedelta(minutes=10)
TRIES = 5
DAY = timedelta(days=1)
TRIES_A_DAY = 20
"""Of one account, over all its codes; of strangers, and as many on its own devices."""
ASKED_A_DAY = 5
"""For one address or number; by strangers, and as many on the devices of who has proved it."""
ASKED_FROM_A_DAY = 10
"""From one network."""
OWNER = "owner"
"""The lane of known devices. All of them share it: a lane for each would be as many guesses more."""
COUNTS = ("tries", "owner_tries")
LOCK_SPACE = 0x636F6465


def normalised(address: str) -> str:
    return address.lower() if "@" in address else address


@transaction.atomic
def ask(*, purpose: CodePurpose, address: str, now: datetime, agent: str = "") -> None:
    """Have a code sent to this address (e-mail or E.164), if an account has it; an earlier one works no more.

    `agent` is what the caller's program calls itself. Raises RateLimited, whether or not an account has it.
    """
    address = normalised(address)
    is_known = purpose == CodePurpose.RESET_PASSWORD and _owner_on_known_device(address, agent) != 0
    _refuse(_ask(purpose, address, lane=OWNER if is_known else "", now=now))


def ask_if_allowed(*, purpose: CodePurpose, address: str, now: datetime) -> None:
    """The same as part of another service's transaction, which does not fail when the limits are reached."""
    _ask(purpose, normalised(address), now=now)


def ask_for_change(*, user: User, address: str, now: datetime) -> None:
    """Have a code sent to an address that this person wants for their account.

    Whether another account has it is looked up by the job, which then tells the owner of the address instead. Raises
    RateLimited. Call it in the transaction that writes the pending address down.
    """
    lane = make_reference("user", user.pk)
    _refuse(_ask(verifying(address), normalised(address), lane=lane, wanted_by=user, now=now))


def verifying(address: str) -> CodePurpose:
    return CodePurpose.VERIFY_EMAIL if "@" in address else CodePurpose.VERIFY_PHONE


def _refuse(wait: timedelta | None) -> None:
    if wait is not None:
        raise RateLimited(headers={"Retry-After": str(max(1, round(wait.total_seconds())))})


def _ask(
    purpose: CodePurpose, address: str, *, now: datetime, lane: str = "", wanted_by: User | None = None
) -> timedelta | None:
    """Write the request and its job; or how long to wait until it may be made."""
    asked_from = whose_address(client_address())
    if environment().rate_limits:
        _lock(sorted({address, asked_from}))
        is_owners = Q(lane=OWNER)
        limits = [
            (Q(address=address) & ~is_owners, ASKED_A_DAY),
            (Q(asked_from=asked_from) & ~is_owners, ASKED_FROM_A_DAY),
        ]
        if lane == OWNER:
            limits = [(Q(address=address) & is_owners, ASKED_A_DAY)]
        for what, most in limits:
            times = Code.objects.filter(what, created_at__gt=now - DAY).order_by("-created_at")
            # The oldest of those that fill the day: when it is a day old there is room again.
            filling = times.values_list("created_at", flat=True)[most - 1 : most].first()
            if filling is not None:
                wait: timedelta = filling + DAY - now
                return wait
    row = Code.objects.create(
        purpose=purpose,
        address=address,
        lane=lane,
        user=wanted_by,
        asked_from=asked_from,
        created_at=now,
    )
    enqueue("accounts.send_code", now=now, code_id=str(row.pk))
    return None


def prepare(*, code_id: uuid.UUID, key: str, now: datetime) -> OutsideCall | None:
    """Make the code of a request and return the call that sends it; None when there is nothing to send.

    For the job, in its transaction. Asked again for the same request it makes the same code.
    """
    row = Code.objects.select_for_update().filter(pk=code_id, used_at=None).first()
    if row is None or not _is_newest(row):
        return None
    user = _account_of(row)
    if user is None or (row.expires_at is not None and row.expires_at <= now):
        return None
    has_it = _holders(row.address).exclude(pk=user.pk).first() if user.is_pending(row.address) else None
    if has_it is not None:
        return _say_that_it_is_taken(row.address, of=has_it, key=key)
    row.user, row.digest, row.expires_at = user, _digest(row.pk, _code(row.pk)), row.expires_at or now + LIFETIME
    row.save(update_fields=["user", "digest", "expires_at"])
    if "@" not in row.address:
        text = mail.write_text("accounts/sms/code", language=user.language, context={"code": _code(row.pk)})
        return partial(sms.deliver, to=row.address, text=text)
    link = f"{environment().link_base}/api/v1/auth/email/verify/?token={_token(row.pk)}"
    message = mail.compose(
        f"accounts/mail/{row.purpose}",
        to=_as_written(row.address, user),
        language=user.language,
        key=key,
        context={"code": _code(row.pk), "link": link},
    )
    return partial(mail.deliver, message)


def _say_that_it_is_taken(address: str, *, of: User, key: str) -> OutsideCall:
    """Instead of a code: its owner hears of it, and whoever wants the address hears nothing."""
    if "@" not in address:
        text = mail.write_text("accounts/sms/taken", language=of.language, context={})
        return partial(sms.deliver, to=address, text=text)
    message = mail.compose(
        "accounts/mail/taken", to=_as_written(address, of), language=of.language, key=key, context={}
    )
    return partial(mail.deliver, message)


def _as_written(address: str, user: User) -> str:
    """The e-mail address as its owner writes it: the part before the @ may distinguish capitals."""
    known = (user.pending_email, user.email)
    return next((one for one in known if one is not None and one.lower() == address), address)


def _account_of(row: Code) -> User | None:
    """The active account that has this address and needs this code, or wants the address."""
    if row.lane not in ("", OWNER):
        user = User.objects.filter(codes=row.pk, is_active=True).first()
        return user if user is not None and user.is_pending(row.address) else None
    holder = _holders(row.address).first()
    if holder is None:
        return _only_one_who_wants(row.address) if row.purpose != CodePurpose.RESET_PASSWORD else None
    is_proved = (holder.email_verified_at if "@" in row.address else holder.phone_verified_at) is not None
    if row.purpose == CodePurpose.RESET_PASSWORD:
        # A number that nobody proved takes no account from who proved an e-mail address: it may be mistyped.
        needs_it = "@" in row.address or is_proved or holder.email_verified_at is None
    else:
        needs_it = not is_proved
    return holder if holder.is_active and needs_it else None


def _only_one_who_wants(address: str) -> User | None:
    """Who asked for a code for this pending address within the day, and asks once more, not signed in.

    Where several want it nobody knows who asks: they give the address again, signed in.
    """
    asked = User.objects.filter(codes__address=address, codes__lane__startswith="user:", is_active=True).distinct()
    wanting = [user for user in asked if user.is_pending(address)]
    return wanting[0] if len(wanting) == 1 else None


def _holders(address: str) -> QuerySet[User]:
    if "@" in address:
        return User.objects.alias(small_email=Lower("email")).filter(small_email=address)
    return User.objects.filter(phone_number=address, phone_signs_in=True)


def _owner_on_known_device(address: str, agent: str) -> int:
    """The id of the account that has proved this address and knows the device that asks, or 0.

    Three queries for whoever does not ask on such a device, whether or not there is an account.
    """
    holder = _holders(address).first() or User()
    is_proved = holder.owns_email if "@" in address else holder.phone_verified_at is not None
    user_id = holder.pk if is_proved else 0
    return user_id if is_known_device(user_id=user_id, agent=agent) else 0


def redeem(*, purpose: CodePurpose, address: str, code: str, now: datetime, agent: str = "") -> User | None:
    """The account whose code this is, its row locked; None for a wrong code. A code works once.

    It is compared with the newest code of each lane, and is a try of each: of strangers, unless it is for a new
    password and the program that calls itself `agent` asks on a device that the account knows. Call it in a transaction
    that is committed also when the answer is None: the try must be counted. It costs the same queries until the code
    was right, whether or not an account has the address.
    """
    address = normalised(address)
    owner = _owner_on_known_device(address, agent) if purpose == CodePurpose.RESET_PASSWORD else 0
    recent = Code.objects.filter(purpose=purpose, address=address, created_at__gt=now - DAY)
    rows = list(recent.order_by("lane", "-created_at", "-pk").distinct("lane")) or [Code(user=None)]
    _lock(sorted({f"user:{row.user_id}" if row.user_id else address for row in rows}))
    of_accounts = Q(user_id__in=[row.user_id or 0 for row in rows]) | Q(user=None, address=address)
    of_day = Code.objects.filter(of_accounts, created_at__gt=now - DAY - LIFETIME).values_list("user_id")
    sums = of_day.annotate(Sum("tries"), Sum("owner_tries")).order_by()
    tried = Counter({(user_id, name): n for user_id, *both in sums for name, n in zip(COUNTS, both, strict=True)})
    right = None
    for row in rows:
        count = COUNTS[bool(owner) and row.user_id == owner]
        most = TRIES if tried[row.user_id, count] < TRIES_A_DAY else 0
        alive = Code.objects.filter(pk=row.pk, used_at=None, expires_at__gt=now, **{f"{count}__lt": most})
        counted = alive.update(**{count: F(count) + 1})
        tried[row.user_id, count] += counted
        is_right = hmac.compare_digest(_digest(row.pk, code), bytes(row.digest or b"\0" * 32))
        right = row if counted and is_right else right
    return _use(right, now=now) if right else None


def redeem_token(*, token: str, now: datetime) -> tuple[User, str] | None:
    """The account that got this link, and the e-mail address that it proves; None when it works no more.

    Using it again within its ten minutes changes nothing: a page that is loaded anew says the same.
    """
    row = _row_of(token, Code.objects.select_for_update(), now=now)
    if row is None:
        return None
    user = _owner(row) if row.used_at is not None else _use(row, now=now)
    return None if user is None else (user, row.address)


def whose_link(*, token: str, now: datetime) -> User | None:
    """The account that got this link, without using it: programs that look through mails open links, too."""
    row = _row_of(token, Code.objects.select_related("user"), now=now)
    return row.user if row is not None and row.user is not None and _serves(row, row.user) else None


def _row_of(token: str, rows: QuerySet[Code], *, now: datetime) -> Code | None:
    name, _, _ = token.partition(".")
    try:
        code_id = uuid.UUID(hex=name)
    except ValueError:
        return None
    if not hmac.compare_digest(_token(code_id).encode(), token.encode()):
        return None
    row = rows.filter(pk=code_id, expires_at__gt=now).first()
    return row if row is not None and _is_newest(row) else None


def _use(row: Code, *, now: datetime) -> User | None:
    if not Code.objects.filter(pk=row.pk, used_at=None).update(used_at=now):
        return None
    return _owner(row)


def _owner(row: Code) -> User | None:
    """The account, if it still has, or wants, the address that the code went to."""
    user = User.objects.select_for_update(no_key=True).filter(codes=row.pk).first()
    return user if user is not None and _serves(row, user) else None


def _serves(row: Code, user: User) -> bool:
    is_present = row.address in (user.email and user.email.lower(), user.phone_number)
    # What is pending recovers nothing.
    is_pending = row.purpose != CodePurpose.RESET_PASSWORD and user.is_pending(row.address)
    return user.is_active and (is_present or is_pending)


def _is_newest(row: Code) -> bool:
    """Whether no later request of its lane has replaced it."""
    rows = Code.objects.filter(purpose=row.purpose, address=row.address, lane=row.lane)
    return rows.order_by("-created_at", "-pk").values_list("pk", flat=True).first() == row.pk


def _lock(names: Collection[str]) -> None:
    """Until the end of the transaction, whoever wants one of these names waits."""
    with connection.cursor() as cursor:
        for name in names:
            digest = hashlib.sha256(name.encode()).digest()
            number = int.from_bytes(digest[:4], "big", signed=True)
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_SPACE, number])


def _mac(what: str, *parts: str) -> bytes:
    return hmac.digest(environment().secret_key.encode(), "\0".join((what, *parts)).encode(), "sha256")


def _code(code_id: uuid.UUID) -> str:
    return f"{int.from_bytes(_mac('code', code_id.hex), 'big') % 10**6:06}"


def _digest(code_id: uuid.UUID, code: str) -> bytes:
    return _mac("code's digest", code_id.hex, code)


def _token(code_id: uuid.UUID) -> str:
    return f"{code_id.hex}.{_mac('link', code_id.hex).hex()[:40]}"
