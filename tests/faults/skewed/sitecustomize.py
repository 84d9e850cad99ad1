"""Read by Python before anything else: this process's machine has a clock that is CLOCK_SKEW_SECONDS ahead.

Everything that asks Python for the time is told the wrong one, libraries included. What asks PostgreSQL or Redis is
not, nor what measures durations. (libfaketime would do the same from outside, but is under the GPL.)
"""

import ctypes
import datetime as dt
import gc
import os
import time
from typing import Any

SKEW = float(os.environ.get("CLOCK_SKEW_SECONDS") or 0)


def _shift() -> None:
    real_time, real_time_ns = time.time, time.time_ns
    time.time = lambda: real_time() + SKEW
    time.time_ns = lambda: real_time_ns() + int(SKEW * 10**9)

    # A built-in type takes no new attributes; its dictionary does, and is found behind the proxy that shows it.
    shown = dt.datetime.__dict__
    [inner] = gc.get_referents(shown)
    real_now = shown["now"]

    def now(cls: type[dt.datetime], tz: dt.tzinfo | None = None) -> Any:
        return real_now.__get__(None, cls)(tz) + dt.timedelta(seconds=SKEW)

    inner["now"] = classmethod(now)
    inner["utcnow"] = classmethod(lambda cls: now(cls, dt.UTC).replace(tzinfo=None))
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(dt.datetime))


if SKEW:
    _shift()
