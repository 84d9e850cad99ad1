"""What runs, how long the queues are, how far behind the relay is."""

import argparse

import psycopg

from backend.cli.errors import UserError
from backend.cli.processes import PORTS
from backend.cli.stack import home_folder, outer_environment, running_stack
from backend.cli.supervisor import fetch

EVENTS = """
    SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(written_at)), 0)
    FROM core_event WHERE number IS NULL
"""

JOBS = """
    WITH moment AS (
        SELECT clock_timestamp() + coalesce((SELECT offset_ms FROM core_clock LIMIT 1), 0) * interval '1 ms' AS now
    )
    SELECT queue,
        count(*) FILTER (WHERE status = 'pending' AND lease_until > clock_timestamp()) AS running,
        count(*) FILTER (WHERE status = 'pending' AND run_at <= now
            AND lease_until IS DISTINCT FROM greatest(lease_until, clock_timestamp())) AS due,
        count(*) FILTER (WHERE status = 'pending' AND run_at > now) AS later,
        count(*) FILTER (WHERE status = 'dead') AS dead
    FROM core_job, moment WHERE status <> 'done' GROUP BY queue ORDER BY queue
"""


def status(_args: argparse.Namespace) -> int:
    """Print a page; 0 when everything is ready, else 1."""
    outer = outer_environment()
    running = running_stack(home_folder(outer))
    if running is None and not outer.get("DATABASE_URL"):
        raise UserError(f"Nothing runs on {home_folder(outer)}; ./callout up starts it.")
    addresses = running["addresses"] if running else {
        name: ("127.0.0.1", int(outer.get(variable) or port)) for name, (variable, port) in PORTS.items()
    }  # fmt: skip
    states = [_print_process(name, host, port) for name, (host, port) in addresses.items()]
    url = running["environment"]["DATABASE_URL"] if running else outer["DATABASE_URL"]
    return 0 if _print_database(url) and all(states) else 1


def _print_process(name: str, host: str, port: int) -> bool:
    code, _text = fetch(host, port, "/readyz")
    state = {200: "ready", 0: "away"}.get(code, "not ready")
    print(f"{name:<10} {host}:{port:<6} {state:<10} {_memory(fetch(host, port, '/metrics')[1])}")
    return code == 200


def _memory(figures: str) -> str:
    for line in figures.splitlines():
        if line.startswith("process_resident_memory_bytes "):
            return f"{float(line.split()[1]) / 2**20:.0f} MiB"
    return ""


def _print_database(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=3) as connection:
            events = connection.execute(EVENTS).fetchone()
            jobs = connection.execute(JOBS).fetchall()
    except psycopg.Error as error:
        print(f"{'database':<10} away: {' '.join(str(error).split())}")
        return False
    assert events is not None
    waiting, age = events
    print(f"{'database':<10} ready")
    print(f"{'events':<10} {waiting} wait for a number, the oldest for {age:.1f} s")
    for queue, busy, due, later, dead in jobs or [("jobs", 0, 0, 0, 0)]:
        print(f"{queue:<10} {due} due, {busy} running, {later} later, {dead} dead")
    return True
