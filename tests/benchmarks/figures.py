"""What was measured, what is to be reached, and the table of both."""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `at_most` is the goal, None where the figure only explains others."""

    group: str
    name: str
    value: float
    unit: str
    at_most: float | None = None

    @property
    def is_reached(self) -> bool:
        return self.at_most is None or self.value <= self.at_most

    @property
    def cells(self) -> list[str]:
        goal = "" if self.at_most is None else f"≤ {number(self.at_most)}"
        verdict = "" if self.at_most is None else "yes" if self.is_reached else "**no**"
        return [self.group, self.name, f"{number(self.value)} {self.unit}", goal, verdict]


HEAD = ["benchmark", "figure", "measured", "to reach", "reached"]


def number(value: float) -> str:
    """Three significant digits, whole from a hundred on."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(figures: Sequence[Figure], before: Sequence[Figure] = ()) -> str:
    """A Markdown table; with figures of an earlier run beside these."""
    earlier = {(one.group, one.name): one.value for one in before}
    rows = [HEAD + ["before"] * bool(before)]
    for one in figures:
        old = earlier.get((one.group, one.name))
        rows.append(one.cells + ([""] if old is None else [number(old)]) * bool(before))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))} |" for row in rows)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of all is not above (nearest rank)."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def save(path: Path, machine: str, figures: Sequence[Figure]) -> None:
    kept = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "figures": [asdict(one) for one in figures],
    }
    path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load(path: Path) -> list[Figure]:
    return [Figure(**fields) for fields in json.loads(path.read_text(encoding="utf-8"))["figures"]]
