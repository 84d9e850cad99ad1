"""The command line behind `./callout`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from backend.cli import bench, check, commands, fuzz, operating, soak
from backend.cli.errors import UserError
from backend.cli.gate import gate
from backend.cli.processes import ROLES
from backend.cli.status import status

HELP = Path(__file__).with_name("help.txt")
OPTIONS = {
    "bench": bench.add_options,
    "check": check.add_options,
    "fuzz": fuzz.add_options,
    "soak": soak.add_options,
}


class Parser(argparse.ArgumentParser):
    """Says in one sentence what it did not understand."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"This was not understood: {message}. `./callout help` lists the commands.", code=2)


def parser() -> argparse.ArgumentParser:
    """Every subcommand and its options; `help.txt` introduces them."""
    top = Parser(prog="./callout", add_help=False)
    names = top.add_subparsers(metavar="COMMAND", required=True)
    for name, run in {
        "up": commands.up,
        "demo": commands.demo,
        "status": status,
        "run": operating.run,
        "migrate": commands.migrate,
        "seed": commands.seed,
        "createadmin": commands.create_admin,
        "tokenkey": operating.token_key,
        "newepoch": operating.new_epoch,
        "check": check.check,
        "shell": commands.shell,
        "test": gate,
        "bench": bench.bench,
        "soak": soak.soak,
        "fuzz": fuzz.fuzz,
        "openapi": commands.openapi,
        "asyncapi": commands.asyncapi,
        "help": show_help,
    }.items():
        command = names.add_parser(name, description=run.__doc__)
        command.set_defaults(run=run)
        if name == "seed":
            command.add_argument("--if-empty", action="store_true", help="only when nobody has an account yet")
        elif name == "demo":
            command.add_argument("--logs", action="store_true", help="show what the processes say, too")
        elif name == "run":
            command.add_argument("role", choices=ROLES, help="which process")
            command.add_argument("--port", type=int, help="where it listens, in place of the setting")
        elif name == "tokenkey":
            command.add_argument("--kid", help="the key's name; made from the date when left out")
        elif name == "openapi":
            command.add_argument("--postman", action="store_true", help="as a Postman collection")
        elif name in OPTIONS:
            OPTIONS[name](command)
        elif name == "createadmin":
            command.add_argument("--email", help="the address to sign in with")
            command.add_argument("--name", help="the person's name")
            command.epilog = "The password is asked for, read from CALLOUT_ADMIN_PASSWORD, or from the standard input."
    return top


def show_help(_args: argparse.Namespace) -> int:
    """Print the introduction."""
    print(HELP.read_text(encoding="utf-8"), end="")
    return 0


def main(arguments: Sequence[str]) -> int:
    """Run one command. Returns its exit code; what a person can mend is one sentence, never a traceback."""
    # Everything after `test` is pytest's, options too.
    own, rest = (arguments[:1], arguments[1:]) if arguments[:1] == ["test"] else (arguments, [])
    if rest in (["-h"], ["--help"]):
        own, rest = arguments, []
    try:
        args = parser().parse_args(own or ["help"])
        args.arguments = rest
        code: int = args.run(args)
    except KeyboardInterrupt:
        return 130
    except (UserError, PermissionError) as error:
        if os.environ.get("CALLOUT_TRACEBACK"):
            raise
        print(_sentence(error), file=sys.stderr)
        return error.code if isinstance(error, UserError) else 1
    return code


def _sentence(error: UserError | PermissionError) -> str:
    if isinstance(error, UserError):
        return str(error)
    return (
        f"{error.filename} cannot be used by this account: start Callout as its owner, or choose another CALLOUT_HOME."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
