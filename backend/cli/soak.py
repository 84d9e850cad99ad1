"""`./callout soak`: the platform at work under every fault there is, for as long as one likes."""

import argparse
import secrets
from pathlib import Path

from backend.cli.stack import home_folder, outer_environment


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--minutes", type=float, default=25.0, metavar="N", help="how long (default: %(default)g)")
    command.add_argument("--seed", type=int, metavar="S", help="of every choice; one is taken and told when left out")
    command.add_argument(
        "--every", type=float, default=10.0, metavar="S", help="seconds between the ends of two faults"
    )


def soak(args: argparse.Namespace) -> int:
    """Hurt a platform of its own, on servers of its own; 0 when every promise held, else 1."""
    from tests.faults.soak import run

    seed = secrets.randbelow(10**6) if args.seed is None else args.seed
    folder: Path = home_folder(outer_environment()) / "soak"
    return run(minutes=args.minutes, seed=seed, pause_s=args.every, folder=folder)
