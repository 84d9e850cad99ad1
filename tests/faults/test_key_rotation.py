"""Keys of tokens change under load, process after process, and nobody has to sign in again (RELIABILITY.md A11).

Seen red with the bug planted: without the step that makes the new key known before it signs, somebody was refused.
"""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from backend.cli.stack import Stack
from backend.cli.supervisor import Program
from backend.cli.unprivileged import temporary_home
from tests.servers import SETTINGS, copy_template, servers, with_database
from tests.support.forgeries import pem_pair

BACKENDS = ("backend", "backend-2")
CLIENTS = 3
PATIENCE_SECONDS = 30
PAUSE_SECONDS = 0.02
"""Between two requests of one: what restarts needs a processor, too."""
Json = dict[str, Any]


@pytest.fixture
def backends() -> Iterator[Stack]:
    """Two backends on one database, with one worker each."""
    found = servers()
    copy_template(found, "rotation")
    env = {
        **SETTINGS,
        "DATABASE_URL": with_database(found["app"], "rotation"),
        "DATABASE_OWNER_URL": with_database(found["owner"], "rotation"),
        "REDIS_URL": f"{found['redis']}?db=15",
        "BACKEND_WORKERS": "1",
    }
    with (
        temporary_home() as home,
        Stack(home, processes=BACKENDS, ports=dict.fromkeys(BACKENDS, 0), env=env, migrate=False) as stack,
    ):
        yield stack


class Visitor(threading.Thread):
    """Somebody with an app: asks now this backend and now that one, and takes the next pair of tokens all the time."""

    def __init__(self, stack: Stack, number: int) -> None:
        super().__init__(daemon=True)
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.refreshed_at = 0.0
        self.stopping = threading.Event()
        self._addresses = [stack.address(name) for name in BACKENDS]
        self._turn = number
        email = f"visitor{number}@example.org"
        account = {"roles": ["client"], "name": "Visitor", "email": email, "password": "a long passphrase"}
        self.tokens = self.ask("POST", "/auth/register/", account)

    def run(self) -> None:
        while not self.stopping.is_set():
            for _ in range(5):
                self.ask("GET", "/me/")
                time.sleep(PAUSE_SECONDS)
            began = time.monotonic()
            self.tokens = self.ask("POST", "/auth/token/refresh/", {"refresh": self.tokens["refresh"]}) or self.tokens
            self.refreshed_at = began

    def ask(self, method: str, path: str, body: Json | None = None) -> Json:
        """The answer of whichever backend is there; each that answers counts."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            self._turn += 1
            connection = http.client.HTTPConnection(*self._addresses[self._turn % 2], timeout=5)
            headers = {"Content-Type": "application/json", "User-Agent": f"visitor {self.name}"}
            if body is None:
                headers["Authorization"] = f"Bearer {self.tokens['access']}"
            try:
                connection.request(method, f"/api/v1{path}", json.dumps(body) if body else None, headers)
                answer = connection.getresponse()
                read: Json = json.loads(answer.read())
            except (OSError, http.client.HTTPException, ValueError):
                time.sleep(0.01)  # it restarts: the other one is there
                continue
            finally:
                connection.close()
            if answer.status != 503:
                self.statuses[path, answer.status] += 1
                return read if answer.status < 300 else {}
        raise TimeoutError(path)


def give_keys(stack: Stack, keys: dict[str, str]) -> None:
    """Restart one backend after the other with these keys."""
    for name in BACKENDS:
        program = stack.keeper(name).unit
        assert isinstance(program, Program)
        program.env = {**program.env, "TOKEN_KEYS": json.dumps(keys)}
        stack.restart(name)


class TestKeyRotation:
    def test_nobody_is_refused_and_the_old_key_is_worth_nothing_after_it(self, backends: Stack) -> None:
        old, new = json.loads(SETTINGS["TOKEN_KEYS"])["test"], pem_pair()[0]
        visitors = [Visitor(backends, number) for number in range(CLIENTS)]
        first_access = visitors[0].tokens["access"]
        for visitor in visitors:
            visitor.start()
        give_keys(backends, {"test": old, "new": new})
        give_keys(backends, {"new": new, "test": old})
        signed_by_new_at = time.monotonic()
        while any(visitor.refreshed_at < signed_by_new_at for visitor in visitors):
            assert time.monotonic() < signed_by_new_at + PATIENCE_SECONDS
            time.sleep(0.05)
        give_keys(backends, {"new": new})
        for visitor in visitors:
            visitor.stopping.set()
        for visitor in visitors:
            visitor.join()
        statuses = sum((visitor.statuses for visitor in visitors), Counter[tuple[str, int]]())
        assert {status for _, status in statuses} <= {200, 201}, statuses
        assert statuses["/me/", 200] > 100

        visitor.tokens["access"], before = first_access, visitor.statuses["/me/", 401]
        for _ in BACKENDS:
            visitor.ask("GET", "/me/")
        assert visitor.statuses["/me/", 401] == before + 2
