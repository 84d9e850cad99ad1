"""Rules about the code itself, beside the import contracts that lint-imports checks."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from shared_contracts.commands import COMMANDS
from shared_contracts.events import NUMBERED, Event
from shared_contracts.rooms import RoomKind

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [path for package in ("backend", "worker", "realtime") for path in (ROOT / package).rglob("*.py")]


@cache
def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]


@cache
def _called() -> set[str]:
    """The first name of everything that the backend calls."""
    return {name_of(call).split(".")[0] for path in (ROOT / "backend").rglob("*.py") for call in calls(path)}


@cache
def _texts() -> list[str]:
    return [path.read_text() for path in (ROOT / "tests" / "backend").rglob("test_*.py")]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name_of(call: ast.Call) -> str:
    return ast.unparse(call.func)


class TestEvents:
    @pytest.mark.parametrize("event", NUMBERED, ids=lambda event: event.type)
    def test_every_event_is_emitted_somewhere_and_tested_there(self, event: type[Event]) -> None:
        assert event.__name__ in _called(), f"nothing emits {event.type}"
        assert any(event.type in text for text in _texts()), f"no test of the backend names {event.type}"

    def test_an_event_names_the_kinds_of_room_that_exist(self) -> None:
        kinds = {kind.value for kind in RoomKind}
        assert all(set(event.rooms) <= kinds for event in NUMBERED)

    def test_names_are_unique(self) -> None:
        assert len({event.type for event in NUMBERED}) == len(NUMBERED)
        assert len({command.name for command in COMMANDS}) == len(COMMANDS)


class TestOutsideCalls:
    def test_only_the_core_touches_redis_from_the_backend(self) -> None:
        """Nothing but PostgreSQL is touched before a commit: whoever needs Redis goes through the core."""
        found = [
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / "backend").rglob("*.py")
            if not path.is_relative_to(ROOT / "backend" / "core")
            and not path.is_relative_to(ROOT / "backend" / "cli")
            and "import redis" in path.read_text()
        ]
        assert found == []

    def test_nothing_is_sent_on_commit_but_the_wake_up(self) -> None:
        found = [
            path.relative_to(ROOT).as_posix()
            for path in SOURCES
            for call in calls(path)
            if name_of(call).endswith("on_commit")
        ]
        assert set(found) <= {"backend/core/outbox.py", "backend/core/jobs.py", "backend/core/wakeup.py"}

    def test_the_sidecar_never_emits_to_everybody(self) -> None:
        for path in (ROOT / "realtime").rglob("*.py"):
            for call in calls(path):
                if name_of(call).endswith(".emit"):
                    named = {keyword.arg for keyword in call.keywords}
                    assert named & {"room", "to"}, f"{path.name}:{call.lineno} emits without a room"


class TestModules:
    MODULES = ("accounts", "media", "catalog", "messaging", "dispatch", "scheduling", "notifications")

    def test_a_module_sees_of_another_only_what_is_public(self) -> None:
        found = []
        for path in (ROOT / "backend").rglob("*.py"):
            own = path.relative_to(ROOT / "backend").parts[0]
            if own in {"config", "cli"}:
                continue
            for imported in imports(path):
                parts = imported.split(".")
                foreign = parts[0] == "backend" and len(parts) > 2 and parts[1] in self.MODULES and parts[1] != own
                if foreign and parts[2] not in {"public", "errors"}:
                    found.append(f"{path.relative_to(ROOT)} imports {imported}")
        assert found == []


class TestShape:
    @pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
    def test_files_stay_small_enough_to_read(self, path: Path) -> None:
        if "migrations" not in path.parts:
            assert len(path.read_text().splitlines()) <= 420

    def test_every_module_has_only_the_files_that_the_design_names(self) -> None:
        known = {
            "__init__", "apps", "models", "schemas", "endpoints", "services", "selectors", "states", "rules", "errors",
            "public", "values", "invariants", "personal_data", "jobs", "subscribers", "migrations",
        }  # fmt: skip
        extra = {
            "accounts": {"hot", "sessions", "rooms", "locale", "templates"},
            "dispatch": {"fields", "rooms", "matching", "routing"},
            "media": {"decoding"},
            "messaging": {"hot", "rooms"},
            "notifications": {"table", "push", "locale", "templates"},
            "scheduling": {"slots", "feed"},
        }
        for module in TestModules.MODULES:
            folder = ROOT / "backend" / module
            found = {path.stem for path in folder.iterdir() if path.name != "__pycache__"}
            assert found - known <= extra.get(module, set()), module
