"""What happened in a run, as JSON lines, and which promises were seen broken."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any


class History:
    """Writes every act and every observation; keeps the broken promises."""

    def __init__(self, path: Path | None = None, *, beside: "History | None" = None) -> None:
        """`beside`: the history of the whole run, which is told everything as well."""
        self.broken: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()
        self._file = path.open("w") if path else None
        self._beside = beside

    def write(self, what: str, **facts: Any) -> None:
        self.counts[what] += 1
        if self._beside is not None:
            self._beside.write(what, **facts)
        if self._file is not None:
            print(json.dumps({"at": round(time.time(), 4), "what": what, **facts}, default=str), file=self._file)

    def blame(self, promise: str, **facts: Any) -> None:
        """A promise was seen broken."""
        one = {"at": time.time(), "promise": promise, **facts}
        self.broken.append(one)
        if self._beside is not None:
            self._beside.broken.append(one)
        self.write("broken", promise=promise, **facts)

    def told(self, most: int = 10) -> str:
        """The first broken promises, a line each."""
        lines = [json.dumps(one, default=str)[:600] for one in self.broken[:most]]
        return "\n".join([f"{len(self.broken)} broken promises", *lines])

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
