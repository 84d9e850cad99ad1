"""Requests wait for their body and for their turn; `tests/faults/test_overload.py` tries it on a real server."""

import json
import threading
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from backend.core.reception import (
    KEPT_IN_MEMORY_BYTES,
    LONG_SECONDS,
    MOST_BYTES,
    WITH_A_PASSWORD,
    Environ,
    Reception,
    StartResponse,
    without_turn,
)
from tests.concurrency.rivals import PATIENCE_SECONDS

OPENAPI = Path(__file__).parents[2] / "contracts" / "openapi.json"


class Asked:
    """An application that says what it was asked, and how many were at it at once."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.at_once = 0
        self.most_at_once = 0
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.go_on.wait(PATIENCE_SECONDS)
        self.bodies.append(environ["wsgi.input"].read())
        self.at_once -= 1
        start_response("200 OK", [])
        return [b"yes"]


def ask(reception: Reception, body: bytes, **environ: Any) -> tuple[str, bytes]:
    statuses: list[str] = []
    asked = {"wsgi.input": BytesIO(body), **environ}
    answer = b"".join(reception(asked, lambda status, _headers: statuses.append(status)))
    return statuses[0], answer


def waiting(reception: Reception) -> int:
    """How many wait for their turn."""
    return sum(len(lane) for lane in reception._turns._lanes.copy().values())


class TestReception:
    def test_hands_on_the_whole_body(self) -> None:
        asked = Asked()
        reception = Reception(asked, threads=1)
        for body in (b"{}", b"x" * (KEPT_IN_MEMORY_BYTES + 1)):
            assert ask(reception, body, CONTENT_LENGTH=str(len(body))) == ("200 OK", b"yes")
        assert ask(reception, b"") == ("200 OK", b"yes")
        assert asked.bodies == [b"{}", b"x" * (KEPT_IN_MEMORY_BYTES + 1), b""]

    @pytest.mark.parametrize("length", [str(MOST_BYTES + 1), "much", "-1"])
    def test_keeps_nothing_that_will_be_refused(self, length: str) -> None:
        """The application looks at the length before it reads."""
        source = BytesIO(b"x" * 100)
        seen: list[object] = []

        def look(environ: Environ, start_response: StartResponse) -> list[bytes]:
            seen.append(environ["wsgi.input"])
            return []

        assert list(Reception(look, threads=1)({"wsgi.input": source, "CONTENT_LENGTH": length}, print)) == []
        assert seen == [source]
        assert source.tell() == 0

    def test_does_not_act_on_half_a_body(self) -> None:
        """It may well be valid by itself: somebody was hung up on in the midst of `{}` and a thousand blanks."""
        asked = Asked()
        assert ask(Reception(asked, threads=1), b"{}", CONTENT_LENGTH="1002") == ("400 Bad Request", b"")
        assert asked.bodies == []

    def test_lets_so_many_work_at_once_and_as_many_again_while_those_wait_for_something(self) -> None:
        asked = Asked()
        asked.go_on.clear()
        reception = Reception(asked, threads=2)
        began = time.monotonic()
        threads = [threading.Thread(target=ask, args=(reception, b"")) for _ in range(6)]
        for thread in threads:
            thread.start()
        while asked.at_once < 2:
            assert time.monotonic() - began < PATIENCE_SECONDS
            time.sleep(0.005)
        while asked.at_once < 4:
            assert time.monotonic() - began < PATIENCE_SECONDS
            time.sleep(0.005)
        assert time.monotonic() - began >= LONG_SECONDS
        time.sleep(2 * LONG_SECONDS)
        asked.go_on.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        assert asked.most_at_once == 4
        assert len(asked.bodies) == 6
        assert reception._turns._free == 2

    def test_who_waits_without_a_turn_lets_another_work_and_takes_one_again(self) -> None:
        """Seen red with a turn that is kept."""
        entered, go_on = threading.Event(), threading.Event()
        worked: list[str] = []

        def act(environ: Environ, start_response: StartResponse) -> list[bytes]:
            if environ["name"] == "waits":
                with without_turn():
                    entered.set()
                    assert go_on.wait(PATIENCE_SECONDS)
            worked.append(environ["name"])
            start_response("200 OK", [])
            return []

        reception = Reception(act, threads=1)
        waiting = threading.Thread(target=ask, args=(reception, b""), kwargs={"name": "waits"})
        waiting.start()
        assert entered.wait(PATIENCE_SECONDS)
        # At once: not only when the one who waits is seen to take long.
        reception._turns.lend = lambda: None  # type: ignore[method-assign]
        for _ in range(3):
            ask(reception, b"", name="works")
        go_on.set()
        waiting.join(PATIENCE_SECONDS)
        assert worked == ["works"] * 3 + ["waits"]
        assert reception._turns._free == 1

    def test_nobody_waits_behind_a_storm_in_another_lane(self) -> None:
        """Seen red with one line for all, and with one for all of `/auth/`."""
        worked: list[str] = []
        go_on = threading.Event()

        def act(environ: Environ, start_response: StartResponse) -> list[bytes]:
            assert go_on.wait(PATIENCE_SECONDS)
            worked.append(environ["PATH_INFO"])
            start_response("200 OK", [])
            return []

        reception = Reception(act, threads=1)
        reception._turns.lend = lambda: None  # type: ignore[method-assign]
        login, refresh = "/api/v1/auth/login/", "/api/v1/auth/token/refresh/"
        paths = [*[login] * 5, "/api/v1/me/", "/api/v1/me/", refresh]
        threads = []
        for path in paths:  # each waits before the next one comes
            threads.append(threading.Thread(target=ask, args=(reception, b""), kwargs={"PATH_INFO": path}))
            threads[-1].start()
            while len(reception._turns._working) + waiting(reception) < len(threads):
                time.sleep(0.001)
        go_on.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        assert worked == [login, login, "/api/v1/me/", login, "/api/v1/me/", login, refresh, login]
        assert (reception._turns._free, waiting(reception)) == (1, 0)

    def test_lanes_are_of_addresses_that_are_there(self) -> None:
        assert set(json.loads(OPENAPI.read_text())["paths"]) >= WITH_A_PASSWORD

    def test_who_has_no_turn_waits_without_one(self) -> None:
        with without_turn():
            pass
