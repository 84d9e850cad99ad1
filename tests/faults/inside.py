"""A hand inside the platform: a process with the backend's services, for what no client could do (or not so fast).

It makes a town of people without a thousand sign-ups, ends what a manager would end, and proves the database.
`python -m tests.faults.inside` reads a request a line, `{"do": …, **arguments}`, and answers with a line of JSON.
"""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import date, timedelta
from threading import Lock
from typing import Any

from backend.cli.stack import ROOT

TOKEN_AGE = timedelta(minutes=2)


class Inside:
    """The process, started with the platform's environment. Calls block; they may come from any thread."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._lock = Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.inside"],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def call(self, do: str, **arguments: Any) -> Any:
        """What `_DEEDS[do]` answers. Raises RuntimeError with what it raised."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline() or '{"error": "it ended"}')
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def _people(*, kind: str, count: int, lat: float, lng: float, mark: str) -> list[dict[str, Any]]:
    """New people, signed in; assistants are on duty around the place, some ten metres apart."""
    from backend.accounts import public as accounts
    from backend.core import clock
    from backend.dispatch import public as dispatch

    made = []
    for number in range(count):
        assistant = accounts.AssistantFields(
            service_type="towing",
            vehicle_type="Tow truck",
            vehicle_class="heavy",
            driving_license=accounts.DrivingLicense(category="c", number=f"F-{number}", expires_on=date(2039, 12, 31)),
            vehicle_registration_number=f"{number:05}-116-31",
        )
        extra = {"assistant": assistant} if kind == "assistant" else {}
        email = f"{kind}{number}.{mark}@faults.example"
        name = f"{kind.title()} {number}"
        person = accounts.register_user(
            roles=[kind], name=name, email=email, password="a long passphrase", now=clock.now(), **extra
        )
        if kind == "assistant":
            dispatch.put_on_duty(user_id=person.id, lat=lat + number / 10_000, lng=lng, now=clock.now())
        made.append({"id": person.id, "name": name, "roles": [kind], **_sign_in(user_id=person.id)})
    return made


def _tariffs() -> None:
    from backend.core import clock
    from backend.dispatch import public as dispatch

    dispatch.ensure_demo_tariffs(now=clock.now())


def _sign_in(*, user_id: int) -> dict[str, Any]:
    """A session with an access token."""
    from backend.accounts.models import Session, User
    from backend.accounts.services.signing_in import Device, open_session
    from backend.core import clock

    user = User.objects.get(pk=user_id)
    open_session(user=user, device=Device(None, "faults"), now=clock.now())
    session_id = Session.objects.filter(user=user).order_by("-id").values_list("pk", flat=True)[0]
    return {"access": _renew(user_id=user_id, session_id=session_id), "session_id": session_id}


def _renew(*, user_id: int, session_id: int) -> str:
    """An access token of two minutes ago: to a machine whose clock is behind, a fresher one is of the future."""
    from backend.accounts.models import User
    from backend.core import clock, tokens

    roles = frozenset(User.objects.get(pk=user_id).roles)
    return tokens.mint_access(user_id=user_id, session_id=session_id, roles=roles, now=clock.now() - TOKEN_AGE)


def _strangers(*, count: int) -> None:
    """Accounts that people sign in to with a password, as it is kept in production: `k00000@strangers.example`, …

    Their numbers belong to two countries in turn.
    """
    from backend.accounts.models import User
    from backend.core import clock
    from backend.core.passwords import Argon2id

    now, hasher = clock.now(), Argon2id()
    encoded = hasher.encode("a long passphrase", hasher.salt())
    people = (
        User(
            username=f"k{number:05}",
            email=f"k{number:05}@strangers.example",
            phone_number=f"{('+21355', '+3360')[number % 2]}{number:07}",
            name="Known",
            first_name="Known",
            roles=["client"],
            password=encoded,
            created_at=now,
            updated_at=now,
        )
        for number in range(count)
    )
    User.objects.bulk_create(people, ignore_conflicts=True)


def _locate(*, user_ids: list[int], lat: float, lng: float) -> None:
    from backend.core import clock
    from backend.dispatch import public as dispatch
    from shared_contracts.events import PositionReport

    now = clock.now()
    reports = {
        user_id: PositionReport(lat=lat + place / 10_000, lng=lng, at=now) for place, user_id in enumerate(user_ids)
    }
    dispatch.record_positions(reports=reports, now=now)


def _talk(*, user_ids: list[int], title: str) -> int:
    from backend.core import clock
    from backend.messaging import public

    opened = public.open_conversation(actor=None, subject=None, title=title, user_ids=user_ids, now=clock.now())
    return opened.id


def _say(*, user_id: int, conversation_id: int, count: int, characters: int) -> None:
    """So many messages of one person, one after the other."""
    from backend.core import clock
    from backend.core.actor import Actor
    from backend.messaging import public

    actor = Actor(id=user_id, roles=frozenset(), session_id=0)
    for number in range(count):
        content = f"{number} ".ljust(characters, ".")
        public.send_message(actor=actor, conversation_id=conversation_id, content=content, now=clock.now())


def _acknowledge(*, user_id: int, conversation_id: int, count: int) -> None:
    """So many events in one transaction, and nothing else: this person's phone has got what was said last."""
    from django.db import transaction

    from backend.core import clock
    from backend.core.outbox import emit_all
    from backend.messaging.models import Conversation
    from shared_contracts.events import MessageDelivered
    from shared_contracts.rooms import conversation_room

    last = Conversation.objects.get(pk=conversation_id).last_message_id or 0
    now = clock.now()
    got = MessageDelivered(conversation_id=conversation_id, user_id=user_id, message_id=last, at=now)
    with transaction.atomic():
        emit_all([(got, [conversation_room(conversation_id)])] * count, now=now)


def _remove_member(*, conversation_id: int, user_id: int) -> float:
    from backend.core import clock
    from backend.messaging import public

    public.remove_member(conversation_id=conversation_id, user_id=user_id, now=clock.now())
    return time.time()


def _deactivate(*, user_id: int) -> float:
    from backend.accounts.services import roles
    from backend.core import clock

    roles.deactivate_user(actor=_admin(), user_id=user_id, now=clock.now())
    return time.time()


def _set_roles(*, user_id: int, roles: list[str]) -> float:
    from backend.accounts.services.roles import set_roles
    from backend.core import clock
    from backend.core.actor import Role

    set_roles(actor=_admin(), user_id=user_id, roles=[Role(role) for role in roles], now=clock.now())
    return time.time()


def _admin() -> Any:
    from backend.core.actor import Actor, Role

    return Actor(id=1, roles=frozenset({Role.ADMIN}), session_id=0)


def _prove(*, patience_s: float) -> list[str]:
    """The invariants that are broken, each with the rows that break it, as lines."""
    from backend.cli.check import lines
    from backend.core import clock
    from backend.core.proof import prove

    broken = [finding for finding in prove(now=clock.now(), patience_s=patience_s) if not finding.holds]
    return list(lines(broken))


_DEEDS = {
    deed.__name__.removeprefix("_"): deed
    for deed in (
        _people,
        _tariffs,
        _sign_in,
        _renew,
        _strangers,
        _locate,
        _talk,
        _say,
        _acknowledge,
        _remove_member,
        _deactivate,
        _set_roles,
        _prove,
    )
}


def _serve() -> None:
    import django
    from django.conf import settings
    from django.db import close_old_connections

    django.setup()
    # Nobody signs in with these people's passwords: fifteen milliseconds each are better spent on faults.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    for line in sys.stdin:
        asked = json.loads(line)
        close_old_connections()
        try:
            answer = {"value": _DEEDS[asked.pop("do")](**asked)}
        except Exception as error:  # noqa: BLE001 - told to whoever asked
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, default=str), flush=True)  # noqa: T201


if __name__ == "__main__":
    _serve()
