"""Seen red with these bugs planted: numbers against the order of ids, `SKIP LOCKED` in the batch, what follows the last
id seen instead of what has no number (`id > last`), partitions taken without their locks, locks that outlive a
holder who stands still, no `partition.behind` after a take-over.
"""

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable

import psycopg
import pytest
from django.db import connection, transaction

from backend.core.clock import now
from backend.core.models import EventRow, RoomHead
from backend.core.outbox import emit
from shared_contracts.events import SessionEnded
from shared_contracts.redis_keys import RELAY_WAKE, room_channel
from shared_contracts.rooms import PARTITIONS, partition_of
from tests.worker.conftest import Listener, execute, relay_sessions, running, until, write
from worker.relay.numbering import Numbering, number_batch
from worker.relay.partitions import Partitions, session
from worker.relay.publishing import Publishing
from worker.wakeups import Wakeups

ALL = list(range(PARTITIONS))


class Relay:
    """The parts of a relay that numbers and publishes."""

    def __init__(self) -> None:
        self.wake = threading.Event()
        self.publishing = Publishing()
        self.numbering = Numbering(publishing=self.publishing, wake=self.wake)
        self.parts = (self.numbering.run, self.publishing.run, Wakeups(RELAY_WAKE, {b"events": self.wake}).run)


def numbers_of(room: str) -> list[tuple[int, str]]:
    """The room's numbers with what they were given to, by number."""
    rows = EventRow.objects.filter(room=room).order_by("number").values_list("number", "data")
    return [(number or 0, data) for number, data in rows]


def write_much(hot: str, *, writers: int, each: int, meanwhile: Callable[[], object] = lambda: None) -> list[str]:
    """Several writers at once, each event in the hot room and in one of its writer's own; commits are delayed."""

    def work(writer: int) -> None:
        dice = random.Random(writer)
        for index in range(each):
            with transaction.atomic():
                emit(SessionEnded(reason=f"{writer}.{index}"), rooms=[hot, f"{hot}{writer}"], now=now())
                time.sleep(dice.random() * 0.006)
        connection.close()

    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    meanwhile()
    for thread in threads:
        thread.join()
    until(lambda: not EventRow.objects.filter(number=None).exists())
    return [hot, *(f"{hot}{writer}" for writer in range(writers))]


def assert_dense_and_in_order(hot: str, rooms: list[str], *, writers: int, each: int) -> None:
    for room in rooms:
        expected = each * (writers if room == hot else 1)
        assert [number for number, _ in numbers_of(room)] == list(range(1, expected + 1))
        assert RoomHead.objects.get(room=room).head == expected
    steps = defaultdict(list)
    for _, data in numbers_of(hot):
        writer, _, index = SessionEnded.model_validate_json(data).reason.partition(".")
        steps[writer].append(int(index))
    assert all(indexes == list(range(each)) for indexes in steps.values())


@pytest.mark.usefixtures("spine")
class TestNumberBatch:
    def test_gives_every_room_its_next_numbers_in_the_order_of_ids(self, room: str) -> None:
        first, second = f"{room}1", f"{room}2"
        write(first, second, reason="a")
        write(first, reason="b")
        with session() as own:
            one = number_batch(own, ALL)
            write(second, first, reason="c")
            two = number_batch(own, ALL)
        assert [(event.room, event.number) for event in one] == [(first, 1), (second, 1), (first, 2)]
        assert [(event.room, event.number) for event in two] == [(second, 2), (first, 3)]
        assert [event.data for event in two] == ['{"session_id":null,"reason":"c"}'] * 2

    def test_takes_the_oldest_when_there_are_more_than_fit(self, room: str) -> None:
        ids = [write(room)[0] for _ in range(5)]
        with session() as own:
            batches = [number_batch(own, ALL, limit=2) for _ in range(4)]
        assert [[(event.id, event.number) for event in batch] for batch in batches] == [
            [(ids[0], 1), (ids[1], 2)],
            [(ids[2], 3), (ids[3], 4)],
            [(ids[4], 5)],
            [],
        ]

    def test_leaves_other_partitions_alone(self, room: str) -> None:
        write(room)
        with session() as own:
            assert number_batch(own, [p for p in ALL if p != partition_of(room)]) == []
            assert len(number_batch(own, [partition_of(room)])) == 1

    def test_waits_for_a_locked_event_and_passes_none_by(self, room: str) -> None:
        [first, _] = write(room)[0], write(room)[0]
        locked, done = threading.Event(), threading.Event()

        def hold() -> None:
            with transaction.atomic():
                execute("SELECT 1 FROM core_event WHERE id = %s FOR NO KEY UPDATE", first)
                locked.set()
                done.wait(5)
            connection.close()

        holder = threading.Thread(target=hold)
        holder.start()
        locked.wait(5)
        with session() as own:
            own.execute("SET lock_timeout = '50ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                number_batch(own, ALL)
            done.set()
            holder.join()
            assert [event.number for event in number_batch(own, ALL)] == [1, 2]

    def test_numbers_what_commits_late_after_what_was_numbered_before(self, room: str) -> None:
        written, numbered = threading.Event(), threading.Event()

        def slow() -> None:
            with transaction.atomic():
                emit(SessionEnded(reason="late"), rooms=[room], now=now())
                written.set()
                numbered.wait(5)
            connection.close()

        thread = threading.Thread(target=slow)
        thread.start()
        written.wait(5)
        write(room, reason="early")
        with session() as own:
            assert [event.number for event in number_batch(own, ALL)] == [1]
            numbered.set()
            thread.join()
            assert [(event.number, event.data) for event in number_batch(own, ALL)] == [
                (2, '{"session_id":null,"reason":"late"}')
            ]


@pytest.mark.usefixtures("spine")
class TestNumbering:
    def test_keeps_every_room_dense_and_publishes_each_event_once(
        self, room: str, listen: Callable[..., Listener]
    ) -> None:
        listener = listen(room_channel(room))
        with running(*Relay().parts):
            rooms = write_much(room, writers=4, each=30)
        assert_dense_and_in_order(room, rooms, writers=4, each=30)
        heard = listener.hear(120)
        assert [message["number"] for message in heard] == list(range(1, 121))
        stored = dict(numbers_of(room))
        assert all(SessionEnded(**message["data"]).model_dump_json() == stored[message["number"]] for message in heard)

    def test_takes_milliseconds_from_the_commit_to_a_listener(self, room: str, listen: Callable[..., Listener]) -> None:
        listener = listen(room_channel(room))
        took = []
        relay = Relay()
        with running(*relay.parts):
            until(lambda: len(relay.numbering.held) == PARTITIONS)
            for _ in range(20):
                time.sleep(0.01)
                began = time.monotonic()
                write(room)
                assert listener.hear()
                took.append(time.monotonic() - began)
        assert sorted(took)[5] < 0.05

    def test_finds_events_whose_wake_up_was_lost(self, room: str) -> None:
        relay = Relay()
        with running(relay.numbering.run):
            until(lambda: len(relay.numbering.held) == PARTITIONS)
            write(room)
            until(lambda: numbers_of(room)[0][0] == 1, seconds=1)

    def test_names_the_present_epoch_though_it_changes(self, room: str, listen: Callable[..., Listener]) -> None:
        listener = listen(room_channel(room))
        before = execute("SELECT name FROM core_epoch")[0][0]
        try:
            with running(*Relay().parts):
                write(room)
                assert listener.hear()[0]["epoch"] == before
                execute("UPDATE core_epoch SET name = 'restored'")
                time.sleep(0.5)
                write(room)
                assert listener.hear()[0]["epoch"] == "restored"
        finally:
            execute("UPDATE core_epoch SET name = %s", before)


@pytest.mark.usefixtures("spine")
class TestSharingPartitions:
    def test_gives_two_relays_half_each_and_one_all(self) -> None:
        one, two = Relay(), Relay()
        with running(one.numbering.run):
            until(lambda: len(one.numbering.held) == PARTITIONS)
            with running(two.numbering.run):
                until(lambda: len(one.numbering.held) == len(two.numbering.held) == 8)
                assert sorted((*one.numbering.held, *two.numbering.held)) == ALL
            until(lambda: len(one.numbering.held) == PARTITIONS)

    def test_loses_and_doubles_nothing_when_relays_are_killed_again_and_again(self, room: str, nodes: Listener) -> None:
        def kill() -> None:
            for turn in range(6):
                time.sleep(0.05)
                until(lambda: len(relay_sessions()) == 2)
                execute("SELECT pg_terminate_backend(%s)", relay_sessions()[turn % 2])

        with running(*Relay().parts, *Relay().parts):
            until(lambda: len(relay_sessions()) == 2)
            rooms = write_much(room, writers=4, each=40, meanwhile=kill)
        assert_dense_and_in_order(room, rooms, writers=4, each=40)
        told = {partition for message in nodes.hear(100, seconds=0.3) for partition in message.get("partitions", [])}
        assert told == set(ALL)

    def test_takes_over_from_a_holder_that_stands_still(self) -> None:
        with session() as still, session() as other:
            assert Partitions(still).settle() == ALL
            began = time.monotonic()
            ours = Partitions(other)
            until(lambda: len(ours.settle() or ours.held) == PARTITIONS, seconds=5)
            assert time.monotonic() - began < 4
