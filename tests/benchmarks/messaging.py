"""Conversations: a person's list among a million messages, and a message from socket to socket, stored."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence

import msgspec

from shared_contracts.rooms import conversation_room
from tests.benchmarks import world
from tests.benchmarks.figures import median, percentile
from tests.benchmarks.http import drive, request
from tests.benchmarks.stage import Bench, Platform
from tests.benchmarks.websocket import Heard, Socket, open_sockets, until

GROUP = "messaging"
TALKERS = 50
"""Pairs who talk over the socket."""
MESSAGES_A_SECOND = 200

# One person talks with all the others, `rounds` messages in each conversation, in turn.
_TALKS = """
INSERT INTO messaging_conversation (title, opened_with, created_at, last_message_at)
SELECT 'bench', ARRAY[least(%(me)s, other), greatest(%(me)s, other)], now(), now()
FROM unnest(%(others)s::bigint[]) other
RETURNING id
"""
_MEMBERS = """
INSERT INTO messaging_member (conversation_id, user_id, added_event_id, joined_at)
SELECT talk.id, member, 0, now() FROM messaging_conversation talk, unnest(opened_with) member WHERE id = ANY(%(talks)s)
"""
_MESSAGES = """
INSERT INTO messaging_message (conversation_id, sender_id, content, created_at, is_withheld)
SELECT talk.id, talk.opened_with[1 + n %% 2], 'Message ' || n || ' about petrol, tyres and towing', now(), false
FROM generate_series(1, %(rounds)s) n, messaging_conversation talk WHERE talk.id = ANY(%(talks)s) ORDER BY n, talk.id
"""
_LAST = """
UPDATE messaging_conversation talk SET last_message_id = last.id, last_message_at = now()
FROM (SELECT conversation_id, max(id) AS id FROM messaging_message GROUP BY 1) last WHERE last.conversation_id = talk.id
"""


def run(bench: Bench) -> None:
    with bench.platform("backend", "worker", "relay", "realtime", LOG_LEVEL="WARNING") as platform:
        asyncio.run(_run(bench, platform))


async def _run(bench: Bench, platform: Platform) -> None:
    with platform.database() as database:
        (me, *others) = world.people(database, f"talk{random.randrange(10**9)}-", "client", 1 + 2000)
        talks = _fill(database, me[0], [user for user, _ in others], rounds=bench.pick(500, 100))
        pairs = world.people(database, f"pair{random.randrange(10**9)}-", "client", TALKERS * 2)
        rooms = [_fill(database, pairs[2 * n][0], [pairs[2 * n + 1][0]], rounds=0)[0] for n in range(TALKERS)]
        await _lists(bench, platform, me, talks[0])
        await _socket_to_socket(bench, platform, pairs, rooms)


def _fill(database: world.Database, me: int, others: list[int], *, rounds: int) -> list[int]:
    rows = database.execute(_TALKS, {"me": me, "others": others}).fetchall()
    talks = [int(str(row[0])) for row in rows]
    database.execute(_MEMBERS, {"talks": talks})
    if rounds:
        database.execute(_MESSAGES, {"talks": talks, "rounds": rounds})
        database.execute(_LAST)
        world.tidy(database)
    return talks


async def _lists(bench: Bench, platform: Platform, me: tuple[int, int], talk: int) -> None:
    token, count = platform.token(*me, "client"), bench.pick(300, 60)
    for title, path, goal in (
        ("2,000 conversations", "/api/v1/conversations/", 30),
        ("everything said in 2,000 conversations", "/api/v1/messages/", 50),
        ("one conversation", f"/api/v1/conversations/{talk}/messages/", 30),
        ("a rare word in all of them", "/api/v1/messages/?search=77", None),
    ):
        await drive(platform.address("backend"), [request("GET", path, token)] * 10, connections=1)
        load = await drive(platform.address("backend"), [request("GET", path, token)] * count, connections=1)
        if set(load.statuses) != {200}:
            raise RuntimeError(f"{path}: {dict(load.statuses)} {load.last_body[:300]!r}")
        bench.add(GROUP, f"reading {title}, median", median(load.milliseconds), "ms")
        bench.add(GROUP, f"reading {title}, p95", percentile(load.milliseconds, 0.95), "ms", goal)


async def _socket_to_socket(
    bench: Bench, platform: Platform, pairs: Sequence[tuple[int, int]], talks: Sequence[int]
) -> None:
    """From the sender's packet to the event at the other's socket, by way of the table."""
    sent: dict[str, float] = {}
    heard: dict[str, float] = {}

    def hear(index: int) -> Heard:
        def take(text: bytes) -> None:
            if index % 2 and text.startswith(b'42["message.created"'):
                heard.setdefault(msgspec.json.decode(text[2:])[1]["data"]["message"]["client_id"], time.perf_counter())

        return take

    sockets = await open_sockets(
        platform.address("realtime"), [platform.token(*member, "client") for member in pairs], hear
    )
    joins = [socket.call(1, "join", room=conversation_room(talks[index // 2])) for index, socket in enumerate(sockets)]
    assert all(answer["ok"] for answer in await asyncio.gather(*joins))
    await _talk(sockets, talks, sent, "warm", count=MESSAGES_A_SECOND)
    await until(lambda: len(heard) >= len(sent))
    count = bench.pick(15, 4) * MESSAGES_A_SECOND
    before = platform.cpu_seconds()
    lost = await _talk(sockets, talks, sent, "m", count=count)
    await until(lambda: len(heard) >= len(sent) - lost)
    spent = {name: (now - before[name]) / count * 1e6 for name, now in platform.cpu_seconds().items()}
    delays = [(at - sent[name]) * 1000 for name, at in heard.items() if name.startswith("m")]
    bench.add(GROUP, f"socket → socket, stored, at {MESSAGES_A_SECOND} a second, median", median(delays), "ms", 20)
    bench.add(
        GROUP, f"socket → socket, stored, at {MESSAGES_A_SECOND} a second, p99", percentile(delays, 0.99), "ms", 80
    )
    bench.add(GROUP, f"socket → socket, at {MESSAGES_A_SECOND} a second, not answered in time, of {count}", lost, "", 0)
    bench.add(GROUP, "CPU per message, all servers", sum(spent.values()), "µs")
    for name, microseconds in sorted(spent.items(), key=lambda one: -one[1]):
        bench.add(GROUP, f"CPU per message, {name}", microseconds, "µs")
    for socket in sockets:
        socket.transport.abort()


async def _talk(
    sockets: Sequence[Socket], talks: Sequence[int], sent: dict[str, float], tag: str, *, count: int
) -> int:
    """Say so many things, evenly; returns how many were not answered in time."""
    began, calls = time.perf_counter(), []
    for number in range(count):
        pair, name = number % len(talks), f"{tag}{number}"
        sent[name] = time.perf_counter()
        say = {"conversation_id": talks[pair], "content": "On my way", "client_id": name}
        calls.append(asyncio.ensure_future(sockets[2 * pair].call(10 + number, "message.send", **say)))
        await asyncio.sleep(max(0.0, began + (number + 1) / MESSAGES_A_SECOND - time.perf_counter()))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    codes = Counter("late" if isinstance(one, BaseException) else one.get("code", "ok") for one in answers)
    if codes.keys() - {"ok", "late", "unavailable"}:
        raise RuntimeError(f"{dict(codes)}")
    return len(answers) - codes["ok"]
