import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import redis

from backend.core.environment import environment
from shared_contracts.events import Envelope
from shared_contracts.redis_keys import room_channel
from shared_contracts.rooms import partition_of
from tests.worker.conftest import Listener, running, until
from worker.relay.publishing import LIMIT_SECONDS, MAX_BATCHES, Numbered, Publishing, messages

AT = datetime(2030, 5, 15, 9, 30, tzinfo=UTC)


def event(room: str, number: int = 1, *, type_: str = "session.ended", data: str = '{"reason": "é"}') -> Numbered:
    return Numbered(
        id=number,
        room=room,
        partition=partition_of(room),
        number=number,
        type=type_,
        created_at=AT,
        request_id="r-1",
        data=data,
    )


class TestMessages:
    def test_wrap_the_stored_text_as_it_stands(self) -> None:
        [(channel, message)] = messages(event("user:7", 3), "abc")
        assert channel == "callout:room:user:7"
        assert message.decode() == (
            '{"room":"user:7","number":3,"epoch":"abc","type":"session.ended","at":"2030-05-15T09:30:00+00:00",'
            '"request_id":"r-1","data":{"reason": "é"}}'
        )
        assert Envelope.model_validate_json(message).number == 3

    def test_tell_the_console_of_a_status_once_and_without_a_number(self) -> None:
        of_job = list(messages(event("assistance:7", type_="assistance.status"), "abc"))
        of_assistant = list(messages(event("assistant:9", type_="assistance.status"), "abc"))
        assert [channel for channel, _ in of_assistant] == ["callout:room:assistant:9"]
        assert [channel for channel, _ in of_job] == ["callout:room:assistance:7", "callout:room:console"]
        copy = Envelope.model_validate_json(of_job[1][1])
        assert (copy.room, copy.number, copy.data) == ("console", None, {"reason": "é"})


class Outlet:
    """A Redis whose socket can be away, deaf, or the real one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.client = redis.Redis.from_url(
            f"unix://{path}", socket_timeout=LIMIT_SECONDS, socket_connect_timeout=LIMIT_SECONDS, retry=None
        )

    def plug_in(self) -> None:
        self.path.symlink_to(urlsplit(environment().redis_url).path)

    @contextmanager
    def deaf(self) -> Iterator[None]:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(self.path))
            server.listen()
            yield
        self.path.unlink()


@pytest.fixture
def outlet(tmp_path: Path) -> Iterator[Outlet]:
    assert parse_qs(urlsplit(environment().redis_url).query)
    outlet = Outlet(tmp_path / "redis")
    yield outlet
    outlet.client.close()


class TestPublishing:
    def test_tells_what_is_behind_once_redis_is_back(self, outlet: Outlet, room: str, nodes: Listener) -> None:
        publishing = Publishing(outlet.client)
        with running(publishing.run):
            publishing.offer("abc", [event(room)])
            until(lambda: publishing._behind)
            outlet.plug_in()
            until(lambda: partition_of(room) in nodes.hear()[0].get("partitions", []))

    def test_goes_on_with_what_follows(self, outlet: Outlet, room: str, listen: Callable[..., Listener]) -> None:
        listener = listen(room_channel(room))
        publishing = Publishing(outlet.client)
        with running(publishing.run):
            publishing.offer("abc", [event(room, 1)])
            until(lambda: publishing._behind)
            outlet.plug_in()
            until(lambda: not publishing._behind)
            publishing.offer("abc", [event(room, 2)])
            assert [message["number"] for message in listener.hear()] == [2]

    def test_waits_for_a_deaf_redis_no_longer_than_its_limit(self, outlet: Outlet, room: str, nodes: Listener) -> None:
        publishing = Publishing(outlet.client)
        with running(publishing.run):
            with outlet.deaf():
                publishing.offer("abc", [event(room)])
                until(lambda: publishing._behind == {partition_of(room)})
            outlet.plug_in()
            until(lambda: partition_of(room) in nodes.hear()[0].get("partitions", []))

    def test_never_makes_the_numbering_wait(self, outlet: Outlet, room: str) -> None:
        publishing = Publishing(outlet.client)  # and nobody takes from its queue
        for number in range(MAX_BATCHES):
            publishing.offer("abc", [event(room, number)])
        assert publishing._behind == set()
        one_more = threading.Thread(target=publishing.offer, args=("abc", [event(room, MAX_BATCHES)]), daemon=True)
        one_more.start()
        one_more.join(10)
        assert publishing._behind == {partition_of(room)}

    def test_tells_what_was_marked_while_nothing_is_written(self, nodes: Listener, client: redis.Redis) -> None:
        publishing = Publishing(client)
        with running(publishing.run):
            threading.Timer(0.05, publishing.mark_behind, ([3, 1],)).start()
            until(lambda: {"partitions": [1, 3]} in nodes.hear())
        assert publishing._behind == set()
