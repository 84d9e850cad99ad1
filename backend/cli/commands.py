"""What the subcommands do, but for the gate and the demo."""

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from getpass import getpass
from threading import Event

from backend.cli import database
from backend.cli.demo_accounts import SIGN_INS
from backend.cli.errors import UserError
from backend.cli.log import Log
from backend.cli.postman import collection
from backend.cli.stack import Stack, home_folder, outer_environment, running_stack
from backend.core.starting import loading


def up(_args: argparse.Namespace) -> int:
    """Run everything until a signal ends it."""
    outer = outer_environment()
    on_terminal = sys.stdout.isatty()
    form = outer.get("LOG_FORMAT") or ("console" if on_terminal else "json")
    log = Log(as_json=form == "json", coloured=on_terminal and not outer.get("NO_COLOR"))
    end_on_signals()
    env = {"LOG_FORMAT": form}
    if outer.get("ENVIRONMENT", "development") == "development":  # where the demo data are, whose licences are approved
        env["REQUIRE_APPROVED_LICENCE"] = outer.get("REQUIRE_APPROVED_LICENCE") or "true"
    stack = Stack(seed=True, env=env, log=log)
    try:
        stack.start()
        for line in _welcome(stack):
            log("callout", line)
        Event().wait()
    except KeyboardInterrupt:
        log("callout", "Stopping.")
    finally:
        try:
            stack.stop()
        except KeyboardInterrupt:  # impatient: a second Ctrl-C
            stack.stop(grace=0)
    log("callout", "Stopped.")
    return 0


def end_on_signals() -> None:
    """Treat the signals that ask for an end like Ctrl-C, also when a shell started us in the background."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # `nohup` ignores it on purpose
            signal.signal(number, signal.default_int_handler)


def _welcome(stack: Stack) -> Iterator[str]:
    yield "Callout is up; Ctrl-C stops it."
    yield f"  API        {stack.url('backend')}/api/v1/"
    yield f"  API pages  {stack.url('backend')}/api/docs"
    yield f"  sockets    {stack.url('realtime')}/socket.io/, described at {stack.url('realtime')}/docs"
    if stack.seeds:
        for role, name, password in SIGN_INS:
            yield f"  {role:<10} {name}  {password}"


@contextmanager
def surroundings(*, migrate: bool = True) -> Iterator[dict[str, str]]:
    """The environment of the running stack, of servers that DATABASE_URL names, or of some started for this long."""
    outer = outer_environment()
    running = None if outer.get("DATABASE_URL") else running_stack(home_folder(outer))
    if running is not None:
        yield {**outer, **running["environment"]}
    else:
        embedded = not outer.get("DATABASE_URL")
        with Stack(processes=(), redis=embedded, migrate=migrate and embedded) as stack:
            yield stack.environment


def _set_up_django(env: Mapping[str, str]) -> None:
    os.environ.update(env)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")
    import django

    with loading():
        django.setup()


def migrate(_args: argparse.Namespace) -> int:
    """Migrate the database and grant the application's role its rights."""
    with surroundings(migrate=False) as env:
        database.migrate(env)
    print("The database is up to date.")
    return 0


def seed(args: argparse.Namespace) -> int:
    """Write the demo data."""
    with surroundings() as env:
        _set_up_django(env)
        from backend.cli.seed import run_seed

        return run_seed(args)


def shell(_args: argparse.Namespace) -> int:
    """A Python shell in the backend."""
    with surroundings() as env:
        _set_up_django(env)
        from django.core.management import call_command

        call_command("shell")
    return 0


def create_admin(args: argparse.Namespace) -> int:
    """Make an account that may do everything."""
    email = args.email or _ask("E-mail address: ")
    name = args.name or _ask("Name: ")
    password = os.environ.get("CALLOUT_ADMIN_PASSWORD") or _ask_password()
    with surroundings() as env:
        _set_up_django(env)
        from backend.accounts import public
        from backend.core import clock
        from backend.core.errors import Problem

        try:
            public.create_admin(email=email, name=name, password=password, now=clock.now())
        except Problem as problem:
            raise UserError(str(problem)) from None
    print(f"{email} may sign in now.")
    return 0


def _ask(question: str) -> str:
    if not sys.stdin.isatty():
        raise UserError(f"Nobody is there to answer “{question.strip(': ')}?”: give --email and --name.")
    return input(question).strip()


def _ask_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    password = getpass("Password: ")
    if password != getpass("The same again: "):
        raise UserError("The two passwords differ.")
    return password


def openapi(args: argparse.Namespace) -> int:
    """Print the REST API's document; no server is needed."""
    _set_up_django({})
    from ninja.responses import NinjaJSONEncoder

    import backend.config.urls
    from backend.config.api import api

    assert backend.config.urls.urlpatterns  # the document names the paths under which the API is mounted
    document = json.loads(json.dumps(api.get_openapi_schema(), cls=NinjaJSONEncoder))
    if args.postman:
        document = collection(document, base_url="http://localhost:8000")
    print(json.dumps(document, indent=2, ensure_ascii=False))
    return 0


def asyncapi(_args: argparse.Namespace) -> int:
    """Print the socket API's document."""
    from realtime.docs import build_asyncapi

    print(json.dumps(build_asyncapi(), indent=2, ensure_ascii=False))
    return 0


def demo(args: argparse.Namespace) -> int:
    """Play the roadside job."""
    from backend.cli.demo import run_demo

    return run_demo(args)
