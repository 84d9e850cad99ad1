"""What is installed: the same bytes every time, nothing older than the faults we know of (RELIABILITY.md S1, S6)."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
RUNTIME, DEVELOPMENT = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())

PIN = re.compile(r"([A-Za-z0-9._-]+)==([^ ;\\]+)(?: ; [^\\]+)?")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}")

FLOORS = {
    "dramatiq": "2.2.1",  # messages stuck in prefetch; an endless loop on TimeoutError
    "python-socketio": "5.18.1",  # a failed connect ran handlers unauthenticated; pickle on the bus
    "python-engineio": "4.15.1",  # CVE-2026-48802: floods before authentication
    "aiohttp": "3.14.5",  # CVE-2025-69228, CVE-2025-69229, CVE-2026-22815, CVE-2026-34516
    "django-ninja": "1.7.1",  # authentication that routers did not inherit
    "pyjwt": "2.12.0",  # CVE-2026-32597: critical headers ignored
    "redis": "8.1.0",  # the version that was probed
}


def pins(lock: Path) -> dict[str, str]:
    """Every pinned package by its normalised name, with its version. Fails for a line that is no pin and no hash."""
    found: dict[str, str] = {}
    hashes: dict[str, int] = {}
    name = ""
    for line in lock.read_text().splitlines():
        text = line.removesuffix("\\").rstrip()
        pin = PIN.fullmatch(text)
        if pin:
            name = canonicalize_name(pin[1])
            assert name not in found, f"{name} is pinned twice"
            found[name], hashes[name] = pin[2], 0
        else:
            assert HASH.fullmatch(text), f"{lock.name}: {line}"
            hashes[name] += 1
    assert [name for name, count in hashes.items() if not count] == []
    return found


class TestLocks:
    @pytest.mark.parametrize("lock", [RUNTIME, DEVELOPMENT], ids=lambda lock: lock.name)
    def test_every_pin_has_hashes_and_no_line_names_a_host(self, lock: Path) -> None:
        assert len(pins(lock)) > 20
        assert not re.search(r"://|--index|--extra|--find|--trusted| @ ", lock.read_text())

    def test_what_is_tested_with_is_what_runs(self) -> None:
        runtime, development = pins(RUNTIME), pins(DEVELOPMENT)
        assert {name: development.get(name) for name in runtime} == runtime

    @pytest.mark.parametrize(
        ("lock", "asked"),
        [(RUNTIME, PROJECT["project"]["dependencies"]), (DEVELOPMENT, PROJECT["dependency-groups"]["dev"])],
        ids=["runtime", "development"],
    )
    def test_every_direct_dependency_is_pinned_within_its_bounds(self, lock: Path, asked: list[str]) -> None:
        pinned = pins(lock)
        for requirement in map(Requirement, asked):
            assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, requirement


class TestVersions:
    @pytest.mark.parametrize("name", FLOORS)
    def test_none_is_below_its_floor(self, name: str) -> None:
        assert Version(version(name)) >= Version(FLOORS[name])

    def test_what_is_installed_is_what_is_pinned(self) -> None:
        pinned = pins(DEVELOPMENT)
        assert {name: version(name) for name in FLOORS} == {name: pinned[name] for name in FLOORS}
