"""What a person sees of the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from backend.cli.__main__ import HELP, main, parser
from backend.cli.log import Log
from backend.cli.stack import ROOT
from backend.core.environment import Environment
from realtime.environment import Environment as RealtimeEnvironment
from tests.servers import copy_template, servers, with_database


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command as the launcher would."""
    return subprocess.run(
        [sys.executable, "-m", "backend.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


class TestCommandLine:
    def test_help_tells_of_every_command(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["help"]) == 0
        text = capsys.readouterr().out
        assert text == HELP.read_text()
        commands = parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
        told = {line.split()[0] for line in text.splitlines() if line.startswith("  ") and line[2] != " "}
        assert {*(commands or ()), "install"} == told  # the launcher does that alone

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["frobnicate"], "This was not understood: argument COMMAND: invalid choice: 'frobnicate'"),
            (["seed", "--twice"], "This was not understood: unrecognized arguments: --twice."),
        ],
    )
    def test_says_in_a_sentence_what_it_does_not_understand(
        self, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(arguments) == 2
        assert capsys.readouterr().err.startswith(sentence)

    def test_says_that_nothing_runs(self, home: Path) -> None:
        told = run("status", CALLOUT_HOME=str(home), DATABASE_URL="")
        assert (told.returncode, told.stderr) == (1, f"Nothing runs on {home}; ./callout up starts it.\n")

    def test_says_that_the_database_does_not_answer(self) -> None:
        told = run("migrate", DATABASE_URL="postgresql://callout@127.0.0.1:1/callout", DATABASE_OWNER_URL="")
        assert told.returncode == 1
        assert told.stderr.startswith("The database does not answer: connection failed:")
        assert told.stderr.count("\n") == 1

    def test_asks_nobody_when_nobody_is_there(self) -> None:
        told = run("createadmin", "--email", "admin@example.org")
        assert (told.returncode, told.stderr) == (1, "Nobody is there to answer “Name?”: give --email and --name.\n")

    def test_a_setting_that_is_wrong_is_one_sentence(self) -> None:
        told = run("migrate", WAVE_SIZE="many")
        assert told.returncode == 1
        assert "The setting WAVE_SIZE is wrong" in told.stderr
        assert told.stderr.count("\n") == 1

    def test_prints_both_documents_without_a_server(self) -> None:
        nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1"}
        rest, sockets = (run(command, **nowhere) for command in ("openapi", "asyncapi"))
        assert json.loads(rest.stdout)["openapi"].startswith("3.1"), rest.stderr
        assert json.loads(sockets.stdout)["asyncapi"].startswith("3."), sockets.stderr


class TestMigrate:
    def test_lets_the_application_add_to_what_is_append_only_and_no_more(self) -> None:
        asked = "has_table_privilege('callout_app', 'core_audit', %s)"
        with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as owner:
            rights = owner.execute(
                "SELECT " + ", ".join([asked] * 4), ["SELECT", "INSERT", "UPDATE", "DELETE"]
            ).fetchone()
            assert rights == (True, True, False, False)
            others = owner.execute("SELECT has_table_privilege('callout_app', 'core_job', 'UPDATE')").fetchone()
            assert others == (True,)
            column = "has_column_privilege('callout_app', 'core_state_change', %s, 'UPDATE')"
            words = owner.execute(f"SELECT {column}, {column}, {column}", ["reason", "by_id", "to_status"]).fetchone()
            assert words == (True, False, False)
            tables = owner.execute("SELECT has_schema_privilege('callout_app', 'public', 'CREATE')").fetchone()
            assert tables == (False,)

    def test_makes_the_applications_role_where_there_is_none(self) -> None:
        found = servers()
        copy_template(found, "roles")
        owner, role = with_database(found["superuser"], "roles"), f"made_{os.getpid()}"
        base, _, query = with_database(found["app"], "roles").partition("?")
        app = f"postgresql://{role}:p%40ss@/{base.rpartition('/')[2]}?{query}"
        refused = run("migrate", DATABASE_URL=app, DATABASE_OWNER_URL=with_database(found["owner"], "roles"))
        assert refused.stderr == f"The role {role} is missing, and the owner may not make it: make it, and migrate.\n"
        with psycopg.connect(owner, autocommit=True) as connection:
            try:
                told = run("migrate", DATABASE_URL=app, DATABASE_OWNER_URL=owner)
                assert told.returncode == 0, told.stderr
                with psycopg.connect(app) as made:
                    assert made.execute("SELECT count(*) FROM core_event").fetchone() == (0,)
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        made.execute("ALTER TABLE core_event ADD COLUMN more text")
            finally:
                connection.execute(f'DROP OWNED BY "{role}"; DROP ROLE "{role}"')

    def test_does_nothing_the_second_time(self) -> None:
        told = run("migrate")
        assert (told.returncode, told.stdout) == (0, "The database is up to date.\n"), told.stderr


class TestSettings:
    def test_each_is_explained(self) -> None:
        written = {line.lstrip("#").partition("=")[0] for line in (ROOT / ".env.example").read_text().splitlines()}
        fields = {*Environment.model_fields, *RealtimeEnvironment.model_fields}
        assert {field.upper() for field in fields} <= written

    def test_the_examples_are_the_defaults(self) -> None:
        lines = (ROOT / ".env.example").read_text().splitlines()
        examples = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
        code = "from backend.core.environment import environment; print(environment().model_dump_json())"
        command = [sys.executable, "-c", code]
        dumped = [
            subprocess.run(command, cwd=ROOT, env={"PATH": os.environ["PATH"], **env}, capture_output=True, check=True)
            for env in ({}, examples)
        ]
        assert json.loads(dumped[0].stdout) == json.loads(dumped[1].stdout)


class TestLog:
    def test_prefixes_lines_for_a_person(self, capsys: pytest.CaptureFixture[str]) -> None:
        Log(as_json=False)("relay", "numbering")
        Log(as_json=False, coloured=True)("relay-2", "numbering")
        assert capsys.readouterr().out == "relay    | numbering\n\033[32mrelay-2  |\033[0m numbering\n"

    def test_makes_every_line_json_for_a_machine(self, capsys: pytest.CaptureFixture[str]) -> None:
        log = Log(as_json=True)
        log("backend", '{"event": "request", "level": "info"}')
        log("postgres", "FATAL:  out of luck")
        log("worker", "{no json")
        told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert told[0] == {"process": "backend", "event": "request", "level": "info"}
        assert (told[1]["process"], told[1]["event"], told[1]["level"]) == (
            "postgres",
            "FATAL:  out of luck",
            "critical",
        )
        assert told[2]["event"] == "{no json"
