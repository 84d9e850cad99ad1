"""`python -m worker.relay`: the process beside the backend that carries what was committed to where it is awaited."""

import sys

from backend.core.connections import RELAY_POOL
from worker.process import set_up

if __name__ == "__main__":
    set_up(connections=RELAY_POOL)
    from worker.relay.relay import serve  # knows Django's models, which are there from here on

    sys.exit(serve())
