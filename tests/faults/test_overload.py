"""Who sends slowly, and who asks for too much, costs the others little."""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from tests.faults.harness import Field

CLOSED_SECONDS = 30.0
SLOW, SILENT, HALF_OPEN = 100, 100, 100
"""More of each than there are threads that work."""
HEAD = (
    "POST /api/v1/auth/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
)
PLAIN = b"GET /api/v1/assistants/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


@dataclass
class Crowd:
    """Connections that never finish what they began to ask."""

    host: str
    port: int
    closed_after: list[float] = field(default_factory=list)

    async def send(self, beginning: str, *, drips: bool) -> None:
        """Begin a request, and go on with a byte a second or not at all, until hung up on."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        began = time.monotonic()
        with suppress(OSError):
            writer.write(beginning.encode())
            closing = asyncio.create_task(reader.read())
            while not closing.done():
                if drips:
                    writer.write(b" ")
                await asyncio.wait([closing], timeout=1)
            closing.result()
        self.closed_after.append(time.monotonic() - began)
        writer.close()

    async def ask(self) -> tuple[str, float]:
        """An ordinary request on a connection of its own: the answer's status and the seconds it took."""
        began = time.monotonic()
        reader, writer = await asyncio.open_connection(self.host, self.port)
        writer.write(PLAIN)
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return answer[9:12].decode(), time.monotonic() - began


class TestSlowSenders:
    def test_are_hung_up_on_and_cost_the_others_nothing(self, field: Field) -> None:
        """L4. Red when a worker's thread waits for the body: thirty such senders were all it took, for as long as they
        liked; seen."""
        asyncio.run(self._crowd_in(field))

    async def _crowd_in(self, field: Field) -> None:
        crowd = Crowd(*field.address("backend"))
        senders = [
            *(crowd.send(HEAD, drips=True) for _ in range(SLOW)),
            *(crowd.send(HEAD, drips=False) for _ in range(SILENT)),
            *(crowd.send("GET / HTTP/1.1\r\n", drips=False) for _ in range(HALF_OPEN)),
        ]
        sending = asyncio.gather(*(asyncio.create_task(one) for one in senders))
        answers = []
        while not sending.done():
            answers.append(await crowd.ask())
            await asyncio.sleep(0.1)
        await sending
        assert Counter(status for status, _ in answers) == {"401": len(answers)}
        took = sorted(seconds for _, seconds in answers)
        assert took[int(len(took) * 0.95)] < 1, took[-5:]
        assert len(crowd.closed_after) == len(senders)
        assert max(crowd.closed_after) <= CLOSED_SECONDS + 2
