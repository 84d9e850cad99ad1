"""`python -m tests.benchmarks.flushing SIZE RATE HEIGHT WIDTH`: moves assistants, in four statements a second."""

import random
import sys
import time
from datetime import UTC, datetime

import django

from tests.benchmarks.world import ALGIERS

PER_SECOND = 4


def main(size: int, rate: int, height: float, width: float) -> None:
    django.setup()
    from backend.dispatch.services.positions import record_positions
    from shared_contracts.events import PositionReport

    while True:
        began, now = time.monotonic(), datetime.now(UTC)
        reports = {
            user: PositionReport(
                lat=ALGIERS[0] + random.uniform(-0.5, 0.5) * height,
                lng=ALGIERS[1] + random.uniform(-0.5, 0.5) * width,
                at=now,
            )
            for user in random.sample(range(1, size + 1), rate // PER_SECOND)
        }
        record_positions(reports=reports, now=now)
        print(len(reports), flush=True)
        time.sleep(max(0.0, began + 1 / PER_SECOND - time.monotonic()))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
