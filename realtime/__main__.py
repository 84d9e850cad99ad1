"""`python -m realtime`: one sidecar process, until SIGTERM or SIGINT."""

import asyncio
import signal
import sys

import structlog
import uvloop
from aiohttp import web

from realtime.app import NODE, build_app
from realtime.environment import Environment, SettingsError, read_environment
from realtime.garbage import keep_tidy, leave_the_old_alone
from realtime.logs import configure_logs

log = structlog.get_logger(__name__)

SHUTDOWN_SECONDS = 3
BACKLOG = 1024


async def serve(environment: Environment) -> None:
    """Listen until told to stop; then drain."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    app = build_app(environment)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    leave_the_old_alone()
    tidying = asyncio.create_task(keep_tidy(lambda: len(app[NODE].sockets.eio.sockets)))
    try:
        site = web.TCPSite(runner, environment.realtime_host, environment.realtime_port, backlog=BACKLOG)
        await site.start()
        log.info("node.listening", addresses=[f"{address[0]}:{address[1]}" for address in runner.addresses])
        await stop.wait()
    finally:
        tidying.cancel()
        await runner.cleanup()
    log.info("node.stopped")


def main() -> int:
    """Exit code 0 after a stop that was asked for, 1 when it could not start."""
    try:
        environment = read_environment()
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - before there is a log
        return 1
    configure_logs(environment.log_format, environment.log_level)
    try:
        uvloop.run(serve(environment))
    except OSError as error:
        log.error("node.cannot_listen", error=error.strerror, port=environment.realtime_port)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
