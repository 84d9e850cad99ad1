"""A raw aiohttp WebSocket fan-out: rooms of one process, no Redis, no protocol. `python -m … PORT`.

A client names its room in the query; what it sends goes to everyone in the room.
"""

import asyncio
import sys
from collections import defaultdict

import uvloop
from aiohttp import WSMsgType, web

ROOMS: dict[str, set[web.WebSocketResponse]] = defaultdict(set)


async def socket(request: web.Request) -> web.WebSocketResponse:
    own = web.WebSocketResponse(compress=False)
    await own.prepare(request)
    room = ROOMS[request.query["room"]]
    room.add(own)
    async for message in own:
        if message.type is WSMsgType.TEXT:
            for member in room:
                await member.send_str(message.data)
    room.discard(own)
    return own


async def healthz(_request: web.Request) -> web.Response:
    return web.Response()


async def serve(port: int) -> None:
    app = web.Application()
    app.router.add_get("/ws", socket)
    app.router.add_get("/healthz", healthz)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
