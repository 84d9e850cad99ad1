"""`python -m worker.jobs [--queues critical,prompt,bulk] [--threads N]`: the workers that run background jobs."""

import argparse
import sys
from collections.abc import Sequence

from backend.core.connections import WORKER_SPARE
from backend.core.environment import SettingsError, environment
from shared_contracts.jobs import Queue
from worker.process import set_up


def threads_of(arguments: Sequence[str]) -> dict[Queue, int]:
    """How many threads to run for each queue. Ends the process with a sentence when the arguments are wrong."""
    parser = argparse.ArgumentParser(prog="python -m worker.jobs", description="Runs background jobs.")
    parser.add_argument(
        "--queues", type=_queues, default=tuple(Queue), metavar="critical,prompt,bulk", help="default: all"
    )
    parser.add_argument(
        "--threads",
        type=int,
        choices=range(1, 65),
        metavar="N",
        default=environment().worker_threads,
        help="for critical jobs, 1 to 64; prompt and bulk jobs get half as many each (default: WORKER_THREADS, or 8)",
    )
    asked = parser.parse_args(arguments)
    halved = max(1, asked.threads // 2)
    return {queue: asked.threads if queue is Queue.CRITICAL else halved for queue in asked.queues}


def _queues(text: str) -> tuple[Queue, ...]:
    return tuple(Queue(name) for name in text.split(","))


if __name__ == "__main__":
    try:
        threads = threads_of(sys.argv[1:])
    except SettingsError as error:
        sys.exit(str(error))
    set_up(connections=sum(threads.values()) + WORKER_SPARE)
    from worker.pool import serve  # knows Django's models, which are there from here on

    sys.exit(serve(threads))
