"""Proves the database: every invariant of every module, each with `ok` or the rows that break it."""

import argparse
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from backend.cli.commands import _set_up_django, surroundings

if TYPE_CHECKING:
    from backend.core.proof import Finding

PATIENCE_SECONDS = 30.0
"""An event may wait so long for its number and a job for its start before it counts as forgotten."""


def add_options(command: argparse.ArgumentParser) -> None:
    what = "seconds that an event or a job may be under way (default: %(default)g)"
    command.add_argument("--patience", type=float, default=PATIENCE_SECONDS, metavar="S", help=what)


def check(args: argparse.Namespace) -> int:
    """Print how every invariant stands; 0 when all hold, else 1."""
    with surroundings(migrate=False) as env:
        _set_up_django(env)
        from backend.core import clock
        from backend.core.proof import prove

        findings = prove(now=clock.now(), patience_s=args.patience)
    for line in lines(findings):
        print(line)
    return 0 if all(finding.holds for finding in findings) else 1


def lines(findings: "Iterable[Finding]") -> Iterable[str]:
    """The findings as a person reads them."""
    for finding in findings:
        state = "ok" if finding.holds else "BROKEN"
        yield f"{state:<7} {finding.invariant.name:<45} {finding.invariant.sentence}"
        for row in finding.rows:
            yield f"        {json.dumps(row, default=str)}"
