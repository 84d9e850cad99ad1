"""`python -m tests.benchmarks.flushing SIZE RATE`: moves random assistants, in four statements a second."""

import random
import sys
import time
from datetime import UTC, datetime

import django

PER_SECOND = 4


def main(size: int, rate: int) -> None:
    django.setup()
    from backend.dispatch.services.positions import record_positions
    from shared_contracts.events import PositionReport

    while True:
        began, now = time.monotonic(), datetime.now(UTC)
        reports = {
            random.randint(1, size): PositionReport(
                lat=36.7538 + random.uniform(-0.1, 0.1), lng=3.0588 + random.uniform(-0.1, 0.1), at=now
            )
            for _ in range(rate // PER_SECOND)
        }
        record_positions(reports=reports, now=now)
        print(len(reports), flush=True)
        time.sleep(max(0.0, began + 1 / PER_SECOND - time.monotonic()))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
