"""What strangers may try for as long as they like: having messages sent."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.test import Client

from backend.core import clock, jobs
from backend.core.jobs import NeverDoneError
from backend.core.models import JobRow
from tests.support.api import Api
from worker.running import key_of


@dataclass
class Provider:
    """Stands for whoever puts messages on the way, and counts what each costs."""

    sent: Counter[str] = field(default_factory=Counter)

    def send(self, *, to: str, text: str) -> None:
        self.sent[to] += 1


def from_address(address: str) -> Api:
    return Api(client=Client(raise_request_exception=False, REMOTE_ADDR=address))


def pump(
    *,
    requests: int,
    numbers: Sequence[str],
    addresses: Sequence[str],
    seed: int,
    work_off_every: int = 1,
    wait: Callable[[], object] = lambda: None,
) -> Counter[int]:
    """Ask for codes for these numbers from these networks, in every way there is; the statuses of the answers."""
    rng = random.Random(seed)
    statuses: Counter[int] = Counter()
    for turn in range(requests):
        number, api = rng.choice(numbers), from_address(rng.choice(addresses))
        path = rng.choice(("/auth/phone/verification/", "/auth/password/reset/"))
        # What a proxy that is not ours claims does not count.
        api = api.with_headers(X_Forwarded_For=f"203.0.113.{rng.randrange(256)}")
        statuses[api.post(path, {"phone_number": number}).status] += 1
        wait()
        if turn % work_off_every == 0:
            work_off()
    work_off()
    return statuses


def work_off() -> None:
    """Run the jobs that wait, as a worker would; one whose message is not sent any more is dead."""
    for row in JobRow.objects.filter(status="pending", name="accounts.send_code").order_by("pk"):
        call = jobs.definition(row.name).run(now=clock.now(), key=key_of(row), **row.arguments)
        try:
            if call is not None:
                call()
        except NeverDoneError:
            pass
        JobRow.objects.filter(pk=row.pk).update(status="done", finished_at=clock.now())
