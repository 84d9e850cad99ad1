"""`./callout bench`: how fast it is here, beside the least that could do the same."""

import argparse
import sys
from pathlib import Path

from backend.cli.errors import UserError


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("names", nargs="*", metavar="NAME", help="only these benchmarks")
    command.add_argument(
        "--quick",
        action="store_true",
        help="smaller numbers, and without names only the spine: to judge a change in two minutes",
    )
    command.add_argument("--save", type=Path, metavar="FILE", help="keep the figures")
    command.add_argument("--compare", type=Path, metavar="FILE", help="show kept figures beside these")


def bench(args: argparse.Namespace) -> int:
    """Measure on this machine; the exit code is 0 whether or not every goal is reached: machines differ."""
    if sys.platform != "linux":
        raise UserError("The benchmarks read what processes spend from /proc: they run on Linux.")
    from tests.benchmarks.run import BENCHMARKS, run

    unknown = sorted(set(args.names) - set(BENCHMARKS))
    if unknown:
        raise UserError(f"No benchmark is called {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}.")
    if args.compare and not args.compare.exists():
        raise UserError(f"There is no file {args.compare} to compare with.")
    run(args.names, quick=args.quick, save=args.save, compare=args.compare)
    return 0
