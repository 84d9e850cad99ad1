"""The embedded servers, real ones, as whoever runs the suite."""

import os
from pathlib import Path

import psycopg
import pytest
import redis
from psycopg.errors import InsufficientPrivilege

from backend.cli.child import Account
from backend.cli.embedded import EmbeddedPostgres, EmbeddedRedis
from backend.cli.errors import UserError
from backend.cli.unprivileged import SOCKET_PATH_BYTES, is_reachable, reachable_program, server_account, socket_folder


class TestEmbeddedPostgres:
    def test_makes_a_half_made_cluster_anew(self, used_home: Path) -> None:
        half = used_home / "postgres" / "cluster.half"
        half.mkdir(parents=True, exist_ok=True)
        (half / "PG_VERSION").write_text("18\n")
        with EmbeddedPostgres(used_home / "postgres", durable=False) as server, psycopg.connect(server.app_url):
            assert not half.exists()

    def test_keeps_rows_through_a_crash_and_roles_apart(self, used_home: Path) -> None:
        with EmbeddedPostgres(used_home / "postgres", durable=False) as server:
            with psycopg.connect(server.owner_url) as owner:
                owner.execute("DROP TABLE IF EXISTS thing")
                owner.execute("CREATE TABLE thing (id int)")
                owner.execute("GRANT SELECT, INSERT ON thing TO callout_app")
            with psycopg.connect(server.app_url) as app:
                app.execute("INSERT INTO thing VALUES (7)")
            before = server.app_url

            server.kill()
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(server.app_url)
            server.start()

            assert server.app_url == before
            with psycopg.connect(server.app_url) as app:
                assert app.execute("SELECT id FROM thing").fetchall() == [(7,)]
                assert app.info.server_version >= 18_00_00
                with pytest.raises(InsufficientPrivilege):
                    app.execute("CREATE TABLE mine (id int)")
        assert not (server.sockets / ".s.PGSQL.5432").exists()

    def test_says_that_it_runs_already_and_leaves_the_first_alone(self, used_home: Path) -> None:
        with EmbeddedPostgres(used_home / "postgres", durable=False) as server:
            with pytest.raises(UserError, match=r"^Callout runs already on .*; CALLOUT_HOME chooses another folder\.$"):
                EmbeddedPostgres(used_home / "postgres").start()
            with psycopg.connect(server.superuser_url) as connection:
                assert connection.execute("SELECT current_user").fetchone() == ("superuser",)

    def test_ignores_a_stale_pid_file_whose_number_lives_on_elsewhere(self, used_home: Path) -> None:
        with EmbeddedPostgres(used_home / "postgres", durable=False) as server:
            pass
        (server.data_dir / "cluster" / "postmaster.pid").write_text(f"{os.getpid()}\n")
        with server, psycopg.connect(server.superuser_url):
            pass

    def test_takes_a_short_folder_for_its_socket_when_the_path_is_too_long(self, home: Path) -> None:
        deep = home / ("x" * 60) / ("y" * 60)
        with EmbeddedPostgres(deep, durable=False) as server:
            short = server.sockets
            server.restart()
            assert server.sockets == short, "a restart keeps the addresses"
            assert len(str(short)) < SOCKET_PATH_BYTES < len(str(deep))
            with psycopg.connect(server.app_url):
                pass
        assert not short.exists()

    def test_keeps_its_secrets_to_itself(self, used_home: Path) -> None:
        with EmbeddedPostgres(used_home / "postgres", durable=False) as server:
            assert (server.data_dir / "passwords.json").stat().st_mode & 0o777 == 0o600
            assert server.sockets.stat().st_mode & 0o777 == 0o700
            stranger = server.app_url.replace(server.app_url.split(":")[2].split("@")[0], "wrong")
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(stranger)


class TestEmbeddedRedis:
    def test_keeps_what_it_can_and_survives_a_broken_file(self, used_home: Path) -> None:
        with EmbeddedRedis(used_home / "redis") as server:
            with redis.Redis.from_url(server.url) as client:
                client.set("key", "value")
                assert client.config_get("client-output-buffer-limit")["client-output-buffer-limit"].endswith(
                    "pubsub 67108864 16777216 30"
                )
            server.restart()
            with redis.Redis.from_url(f"{server.url}?db=0") as client:
                assert client.get("key") == b"value"
            server.stop()
            for file in (server.data_dir / "files").rglob("*.aof"):
                file.write_bytes(b"not an append-only file")
            server.start()
            with redis.Redis.from_url(server.url) as client:
                assert client.get("key") is None

    def test_answers_nobody_while_paused(self, used_home: Path) -> None:
        with EmbeddedRedis(used_home / "redis", durable=False) as server:
            server.pause()
            with redis.Redis.from_url(server.url, socket_timeout=0.2, retry=None) as client:
                with pytest.raises(redis.TimeoutError):
                    client.ping()
                server.resume()
                assert client.ping()


class TestUnprivileged:
    def test_copies_programs_that_the_account_cannot_reach(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        account = server_account(home)
        tree = home / "closed" / "tree"
        (tree / "bin").mkdir(parents=True)
        (home / "closed" / "libs").mkdir()
        program = tree / "bin" / "server"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o700)

        def sees_all_but_the_program(path: Path, _account: Account | None) -> bool:
            return path != program and os.access(path, os.X_OK)

        monkeypatch.setattr("backend.cli.unprivileged.is_reachable", sees_all_but_the_program)
        copy = reachable_program(program, home / "closed", ["tree", "libs"], home, account)
        assert copy != program
        assert copy.read_text() == program.read_text()
        assert copy.stat().st_mode & 0o777 == 0o755
        assert is_reachable(copy, account)
        assert (copy.parents[2] / "libs").is_dir(), "a program finds its libraries beside it"
        assert reachable_program(program, home / "closed", ["tree", "libs"], home, account) == copy

    def test_never_empties_a_folder_that_it_did_not_make(self, home: Path) -> None:
        precious = home / "precious"
        precious.mkdir()
        (precious / "file").touch()
        link = home / "socket"
        link.symlink_to("/nowhere")
        made = socket_folder(link, 10, server_account(home))
        assert made == link
        link.rmdir()
        link.symlink_to(precious)
        socket_folder(link, 10, None)
        assert (precious / "file").exists()
