"""The gate: format, lint, types, import rules, migrations, tests. What fails is said, and ends it."""

import argparse
import os
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass

from backend.cli.stack import ROOT

LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"

# Without a database: what is asked is whether the models and the migrations agree with each other.
COMPARE_MIGRATIONS = """
import django
from django.conf import settings
from django.core.management import call_command
settings.DATABASES["default"] = {"ENGINE": "django.db.backends.dummy"}
django.setup()
call_command("makemigrations", "--check", "--dry-run")
"""


@dataclass(frozen=True, slots=True)
class Step:
    title: str
    arguments: tuple[str, ...]
    """Of Python."""


def steps() -> list[Step]:
    """What must hold, the quickest answers first."""
    found = [
        Step("format", ("-m", "ruff", "format", "--check", ".", "callout")),
        Step("lint", ("-m", "ruff", "check", ".", "callout")),
        Step("import rules", ("-c", LINT_IMPORTS, "--no-logo")),
        Step("migrations", ("-c", COMPARE_MIGRATIONS)),
        Step("types", ("-m", "mypy")),
        Step("tests", ("-m", "pytest", "-n", "3")),
    ]
    if "deptry" in tomllib.loads((ROOT / "pyproject.toml").read_text()).get("tool", {}):
        found.insert(3, Step("dependencies", ("-m", "deptry", ".")))
    return found


def gate(args: argparse.Namespace) -> int:
    """Run the gate, or with arguments only pytest with these. Returns the exit code of what failed first."""
    if args.arguments:
        return _run(Step("tests", ("-m", "pytest", *args.arguments)))
    seconds: dict[str, float] = {}
    for step in steps():
        print(f"== {step.title}", flush=True)
        began = time.monotonic()
        code = _run(step)
        seconds[step.title] = time.monotonic() - began
        if code:
            print(f"\n{_summary(seconds)}\nThe gate is closed: {step.title} failed.", flush=True)
            return code
    print(f"\n{_summary(seconds)}\nThe gate is open.", flush=True)
    return 0


def _run(step: Step) -> int:
    env = {"DJANGO_SETTINGS_MODULE": "backend.config.settings", **os.environ}
    return subprocess.run([sys.executable, *step.arguments], cwd=ROOT, env=env, check=False).returncode


def _summary(seconds: dict[str, float]) -> str:
    return "\n".join(f"{title:<14}{spent:6.1f} s" for title, spent in seconds.items())
