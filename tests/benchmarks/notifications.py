"""A fan-out to ten thousand lists and mailboxes, and how long a critical job and an urgent mail wait meanwhile.

Relay and workers are as they are; the mails go to a real SMTP server.
"""

import logging
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from redis import Redis

from shared_contracts.jobs import Queue
from shared_contracts.redis_keys import RELAY_WAKE
from tests.benchmarks import world
from tests.benchmarks.figures import median, percentile
from tests.benchmarks.stage import Bench, Platform
from tests.support.outside import MailServer, mail_server

GROUP = "notifications"
TITLE = "News"
PEOPLE = 10_000
PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 300
URGENT = 200
"""So many urgent mails, while those of the fan-out go out at their pace."""
URGENT_PAUSE_SECONDS = 0.1
URGENT_PATIENCE_SECONDS = 30

_CRITICAL = """
INSERT INTO core_job (name, queue, arguments, request_id, status, run_at, fence, attempts, last_error)
VALUES ('dispatch.expire_request', 'critical', '{"assistance_id": 0, "round": 1}', 'fan-out', 'pending',
  clock_timestamp(), 0, 0, '')
"""
_LEFT = "SELECT count(*) FROM core_job WHERE status = 'pending' AND name = 'notifications.tell'"
_WAITED = """
SELECT extract(epoch FROM finished_at - created_at)::float8 * 1000 FROM core_job
WHERE request_id = 'fan-out' AND status = 'done'
"""
_TOLD = "SELECT count(*) FROM notifications_notification WHERE source = %s"


def run(bench: Bench) -> None:
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    with mail_server() as sink:
        mails = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(sink.port), "EMAIL_SECURITY": "none"}
        with bench.platform("worker", "relay", LOG_LEVEL="WARNING", **mails) as platform:
            _fan_out(bench, platform, sink, bench.pick(PEOPLE, 2000))


def _fan_out(bench: Bench, platform: Platform, sink: MailServer, size: int) -> None:
    from backend.notifications import public  # Django is set up from here on

    source = f"announcement:{random.randrange(10**9)}"
    redis = Redis.from_url(platform.environment["REDIS_URL"])
    with platform.database() as database:
        people = [user for user, _ in world.people(database, f"told{random.randrange(10**9)}-", "client", size)]
        database.execute("UPDATE accounts_user SET email_verified_at = now() WHERE id = ANY(%s)", [people])
        database.execute("VACUUM ANALYZE accounts_user")
        time.sleep(2)  # what starting up costs is not measured
        began = time.perf_counter()
        public.announce(user_ids=people, title=TITLE, text="All is well.", source=source, now=datetime.now(UTC))
        while _number(database, _LEFT):
            if time.perf_counter() - began > PATIENCE_SECONDS:
                raise TimeoutError("the fan-out does not end")
            database.execute(_CRITICAL)
            redis.publish(RELAY_WAKE, Queue.CRITICAL)
            time.sleep(PAUSE_SECONDS)
        seconds = time.perf_counter() - began
        time.sleep(1)
        told = _number(database, _TOLD, source)
        if told != size:
            raise RuntimeError(f"{told} of {size} were told")
        waited = [float(str(row[0])) for row in database.execute(_WAITED).fetchall()]
        urgent = _urgent_mails(sink, people[-bench.pick(URGENT, 60) :])
    redis.close()
    bench.add(GROUP, f"a fan-out to {size} lists and sockets", seconds, "s")
    bench.add(GROUP, "meanwhile: commit → critical job done, median", median(waited), "ms")
    bench.add(GROUP, "meanwhile: commit → critical job done, p99", percentile(waited, 0.99), "ms", 100)
    bench.add(GROUP, "while its mails go out: an urgent mail, median", median(urgent), "ms")
    bench.add(GROUP, "while its mails go out: an urgent mail, p99", percentile(urgent, 0.99), "ms", 1000)


def _urgent_mails(sink: MailServer, people: Sequence[int]) -> list[float]:
    """From telling each of them something urgent to its mail at the server, in milliseconds."""
    from django.db import transaction

    from backend.accounts.models import User
    from backend.notifications.services.telling import tell
    from backend.notifications.values import NotificationType, Telling

    names = dict(User.objects.filter(pk__in=people).values_list("pk", "email"))
    told: dict[str, float] = {}
    came: dict[str, float] = {}

    def note() -> None:
        if sink.mails[-1]["Subject"].strip() != TITLE:
            came[sink.mails[-1]["To"]] = time.perf_counter()

    sink.on_mail = note
    before = len(sink.mails)
    for number, user in enumerate(people):
        told[names[user] or ""] = time.perf_counter()
        telling = Telling(NotificationType.BOOKING_REMINDER, [user], {"starts_at": "2030-05-16T10:00:00+00:00"})
        with transaction.atomic():
            tell(telling, source=f"urgent:{number}", now=datetime.now(UTC))
        time.sleep(URGENT_PAUSE_SECONDS)
    deadline = time.perf_counter() + URGENT_PATIENCE_SECONDS
    while len(came) < len(told) and time.perf_counter() < deadline:
        time.sleep(0.05)
    if len(sink.mails) - before <= len(came):
        raise RuntimeError("no mail of the fan-out went out meanwhile")
    now = time.perf_counter()  # which has not come by then has waited so long at least
    return [(came.get(address, now) - at) * 1000 for address, at in told.items()]


def _number(database: world.Database, statement: str, *values: str) -> int:
    row = database.execute(statement.encode(), list(values) or None).fetchone()
    return int(str(row[0])) if row else 0
