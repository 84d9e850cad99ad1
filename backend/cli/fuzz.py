"""`./callout fuzz`: every operation asked with values nobody thought of, for as long as one likes."""

import argparse
import os
import secrets
import subprocess
import sys
import time

from backend.cli.stack import ROOT

ROUND = "tests/contracts/test_fuzz.py"
FIRST = "tests/contracts/test_hostile_values.py"
"""The same in every round: once is enough."""


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--minutes", type=float, default=25.0, metavar="N", help="how long (default: %(default)g)")
    command.add_argument(
        "--seed", type=int, metavar="S", help="of the first round; one is taken and told when left out"
    )
    command.add_argument(
        "--examples", type=int, default=100, metavar="N", help="per operation, actor and round (default: %(default)d)"
    )


def fuzz(args: argparse.Namespace) -> int:
    """Ask in rounds, each with the next seed, until the time is over; 0 when every answer was documented, else 1."""
    seed = secrets.randbelow(10**6) if args.seed is None else args.seed
    end = time.monotonic() + args.minutes * 60
    tests = [FIRST, ROUND]
    while True:
        print(f"== seed {seed}, {args.examples} examples", flush=True)
        asked = {"FUZZ_SEED": str(seed), "FUZZ_EXAMPLES": str(args.examples)}
        command = [sys.executable, "-m", "pytest", "-n", "2", *tests]
        if subprocess.run(command, cwd=ROOT, env={**os.environ, **asked}, check=False).returncode:
            print(f"Again: ./callout fuzz --seed {seed} --examples {args.examples}", flush=True)
            return 1
        if time.monotonic() >= end:
            return 0
        seed, tests = seed + 1, [ROUND]
