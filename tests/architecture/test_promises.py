"""Which test proves which promise of RELIABILITY.md, for those that must hold of what stands so far.

What is noted below as red was seen so; of the others their tests say it. What only time shows is proved by
`./callout soak`: the same load and the same judgement, with every fault at its full length.
"""

import ast
from functools import cache

import pytest

from backend.cli.stack import ROOT

FAULTS, CORE, ACCOUNTS = "tests/faults", "tests/backend/core", "tests/backend/accounts"

PROMISES: dict[str, tuple[str, ...]] = {
    "A1": (f"{CORE}/test_forged_tokens.py::TestForgedTokens", "tests/realtime/test_forged_tokens.py::TestForgedTokens"),
    # Red with: look first whether there is a successor, then insert; a reused token that ends nothing.
    "A2": (
        "tests/concurrency/test_accounts_races.py::TestRefresh",
        "tests/backend/accounts/test_refresh.py::TestRefresh::test_ends_the_session_when_a_token_is_used_again",
    ),
    "A3": (
        f"{FAULTS}/test_access.py::TestLostAccess::test_ends_within_a_second",
        f"{FAULTS}/test_access.py::TestLostAccess::test_ends_within_fifteen_seconds_without_redis",
    ),
    # Red with: as many hashes at a time as come; a turn to work that is kept while waiting for one.
    "A4": (f"{FAULTS}/test_strangers.py::TestStrangers::test_storm_the_door_and_keep_nobody_out",),
    "A5": (
        "tests/concurrency/test_guesses.py::TestGuessedCodes",
        f"{ACCOUNTS}/test_codes.py::TestCode",
        f"{ACCOUNTS}/test_recovery.py::TestGuesses",
    ),
    "A6": ("tests/concurrency/test_guesses.py::TestGuessedPasswords", f"{ACCOUNTS}/test_delays.py::TestSignIn"),
    # By time: `./callout soak`.
    "A7": (
        f"{ACCOUNTS}/test_strangers.py::TestSignIn",
        f"{ACCOUNTS}/test_codes.py::TestDiscovery",
        f"{ACCOUNTS}/test_openid_strangers.py::TestStrangers",
        f"{ACCOUNTS}/test_pending_contacts.py::TestTaken",
        f"{FAULTS}/test_strangers.py::TestStrangers::test_learn_nothing_from_answers",
    ),
    "A8": (
        "tests/concurrency/test_accounts_races.py::TestTwoFactor",
        f"{ACCOUNTS}/test_two_factor.py::TestLoginWithTwoFactor",
    ),
    "A9": (f"{ACCOUNTS}/test_openid.py::TestForgedTokens", f"{ACCOUNTS}/test_openid.py::TestLinking"),
    "A10": (f"{ACCOUNTS}/test_security.py::TestChangeOfContacts", f"{ACCOUNTS}/test_deleting.py::TestProof"),
    "A11": (f"{FAULTS}/test_key_rotation.py::TestKeyRotation", f"{CORE}/test_tokens.py::TestRotation"),
    # Red with: a selector that does not ask whose conversation it is.
    "Z1": ("tests/architecture/test_authorisation.py::TestAuthorisation",),
    # Red with: one operation whose auth is None.
    "Z2": (
        "tests/architecture/test_authorisation.py::TestAuthorisation::"
        "test_only_what_the_table_calls_public_is_served_without_signing_in",
    ),
    # Red with: bodies that ignore what they do not know.
    "Z3": (
        "tests/contracts/test_hostile_values.py::TestBodies::test_a_field_that_is_not_theirs_is_refused",
        "tests/contracts/test_openapi.py::TestOpenAPI::test_no_body_takes_a_field_that_is_not_named",
    ),
    "Z4": ("tests/contracts/test_private_fields.py::TestPrivateFields",),
    # Red with: a join that only asks whether there is such a room; an event handed to the other rooms as well.
    "Z5": (
        f"{CORE}/test_realtime.py::TestJudgeJoins",
        "tests/realtime/test_rooms.py::TestJoining::test_refuses_who_is_no_member",
        f"{FAULTS}/test_access.py::TestGainedAccess",
        f"{FAULTS}/test_crowd.py::TestStrangers",
    ),
    "Z6": (f"{ACCOUNTS}/test_invitations.py::TestNobodyMakesThemselvesAManager",),
    "Z7": ("tests/contracts/test_hostile_values.py::TestAddresses::test_an_unknown_query_is_refused",),
    # Red with: NUL let through, and what PostgreSQL says of it not translated.
    "I1": ("tests/contracts/test_hostile_values.py::TestBodies", "tests/contracts/test_fuzz.py::TestFuzzing"),
    "I2": (f"{CORE}/test_middleware.py::TestProblems", "tests/contracts/test_fuzz.py::TestFuzzing"),
    "I3": (f"{CORE}/test_parsing.py::TestParse", f"{CORE}/test_parsing.py::TestStrictParser"),
    "I4": (
        "tests/contracts/test_hostile_values.py::TestBodies::test_a_value_that_does_not_fit_is_refused",
        f"{CORE}/test_money.py::TestMoney",
    ),
    "I5": (
        "tests/backend/media/test_photos.py::TestSetMyPhoto",
        "tests/backend/media/test_decoding.py::TestLimits",
        "tests/backend/media/test_decoding.py::TestOneAtATime",
    ),
    "I6": (
        "tests/backend/media/test_photos.py::TestSetMyPhoto",
        "tests/backend/media/test_documents.py::TestAddDocument",
    ),
    # Nobody uploads past us; what is handed out is one file for minutes.
    "I7": ("tests/backend/media/test_buckets.py::TestBuckets",),
    "I8": (f"{CORE}/test_outbound.py::TestReadInProduction", f"{CORE}/test_outbound.py::TestIsPublic"),
    "I10": (
        f"{CORE}/test_logs.py::TestConfigure",
        f"{CORE}/test_middleware.py::TestRequestId::test_one_that_could_forge_a_line_of_log_is_replaced",
        "tests/realtime/test_life.py::TestLogs",
    ),
    "D1": (
        f"{FAULTS}/test_accept.py::TestAcceptAssistance",
        "tests/concurrency/test_dispatch.py::TestAcceptingAtOnce::test_fifty_assistants_one_winner",
    ),
    "D2": ("tests/concurrency/test_dispatch.py::TestAcceptingAtOnce::test_one_assistant_gets_one_of_many_jobs",),
    "D3": (
        "tests/concurrency/test_dispatch.py::TestAcceptingAtOnce::"
        "test_accept_cancel_expire_and_the_next_wave_always_end_well",
    ),
    # Red with: the constraint's refusal not told as a time that is taken.
    "D4": (
        "tests/concurrency/test_bookings.py::TestBookingAtOnce",
        "tests/backend/scheduling/test_slots.py::TestOpenPeriods",
    ),
    # Red with: a wave that does not write the next one's timer.
    "D5": (
        f"{CORE}/test_invariants.py::TestInvariants",
        f"{FAULTS}/test_timers.py::TestTimersThatCameDueWhileEverythingWasDown",
        f"{FAULTS}/test_machines.py::TestKilledProcesses",
    ),
    "D6": ("tests/realtime/test_locations.py::TestWhoMaySend", "tests/realtime/test_locations.py::TestPositions"),
    "D7": (f"{FAULTS}/test_machines.py::TestKilledProcesses", f"{FAULTS}/test_rolling.py::TestRollingRestart"),
    # Red with: the event's row written on a connection of its own, or only once the change is committed.
    "R1": (
        "tests/worker/test_jobs.py::TestRunner::test_refuses_the_late_completion_of_a_job_that_was_taken_over",
        f"{CORE}/test_outbox.py::TestEmit",
        "tests/architecture/test_contracts_between_processes.py::TestOutsideCalls",
        f"{FAULTS}/test_machines.py::TestKilledProcesses",
    ),
    "R2": (f"{FAULTS}/test_machines.py::TestLosingRedis", f"{FAULTS}/test_absence.py::TestAbsence"),
    "R3": (
        "tests/worker/test_numbering.py::TestNumberBatch::"
        "test_numbers_what_commits_late_after_what_was_numbered_before",
        "tests/worker/test_numbering.py::TestNumbering::test_keeps_every_room_dense_and_publishes_each_event_once",
    ),
    "R4": (
        "tests/worker/test_numbering.py::TestNumbering::test_takes_milliseconds_from_the_commit_to_a_listener",
        "tests/benchmarks/delays.py",
    ),
    # Red with: a client that is let in although the backend could not be asked.
    "R5": (
        "tests/realtime/test_connecting.py::TestConnecting::test_refuses_while_the_backend_is_away",
        "tests/realtime/test_connecting.py::TestConnecting::test_refuses_a_token",
    ),
    "R6": ("tests/realtime/test_commands.py::TestCommands::test_of_one_client_are_done_in_their_order",),
    # Red with: a queue without a bound.
    "R7": ("tests/realtime/test_hostile_clients.py::TestHostileClients::test_that_do_not_read_are_dropped",),
    # Red with: no bucket; binary packets read as any other.
    "R8": ("tests/realtime/test_hostile_clients.py::TestHostileClients",),
    # Red with: a canary that nobody misses.
    "R9": (
        "tests/realtime/test_rooms.py::TestRedis::test_a_deaf_listener_is_noticed",
        f"{FAULTS}/test_machines.py::TestLosingRedis",
    ),
    "R10": (
        "tests/journeys/test_snapshots.py::TestSnapshots::test_old_and_events_are_new",
        "tests/journeys/test_snapshots.py::TestSnapshots::test_have_a_case_each",
        f"{FAULTS}/test_absence.py::TestAbsence::test_of_2000_events_is_told_to_read_afresh",
    ),
    # Red with: what was sent once is not sent again.
    "T1": (
        "tests/worker/test_dispatching.py::TestFullCircle::test_runs_every_job_once_though_redis_forgets_all_of_them",
        f"{FAULTS}/test_machines.py::TestLosingRedis",
    ),
    "T2": (
        f"{FAULTS}/test_machines.py::TestKilledProcesses",
        f"{FAULTS}/test_machines.py::TestStoppedProcesses",
        "tests/worker/test_jobs.py::TestRunner::test_refuses_the_late_completion_of_a_job_that_was_taken_over",
    ),
    "T3": (
        "tests/worker/test_idempotence.py::TestJobs::test_leave_the_same_twice_at_once_and_after_a_kill",
        "tests/worker/test_idempotence.py::TestJobs::test_have_a_case_each",
        "tests/worker/test_jobs.py::TestRunner::test_runs_a_job_once_though_many_begin_it_at_the_same_time",
        "tests/worker/test_jobs.py::TestOutsideJobs::test_makes_one_double_at_most_however_often_it_is_killed",
    ),
    # Red with: Dramatiq's own delay instead of the row's time.
    "T4": (
        "tests/worker/test_dispatching.py::TestDispatching::test_sends_timers_when_the_moved_clock_says_so",
        f"{FAULTS}/test_timers.py::TestTimersThatCameDueWhileEverythingWasDown",
    ),
    "T5": (f"{FAULTS}/test_skewed_clocks.py::TestSkewedClocks",),
    "T6": ("tests/worker/test_jobs.py::TestRunner::test_gives_up_a_job_that_ends_every_worker",),
    "T7": (f"{FAULTS}/test_redis_matrix.py::TestWithoutRedis", f"{CORE}/test_outbox.py::TestOutsideATransaction"),
    "T8": ("tests/backend/cli/test_stack.py::TestStack", "tests/worker/test_processes.py::TestProcess"),
    "T9": ("tests/worker/test_dispatching.py::TestFullCircle::test_does_not_let_bulk_work_delay_other_work",),
    # Red with: read and write of a limit in two steps; the first of the hops believed.
    "L1": (f"{CORE}/test_limits.py::TestCheck", f"{CORE}/test_middleware.py::TestRateLimits"),
    "L2": (f"{CORE}/test_pagination.py::TestPaginate",),
    "L3": (f"{FAULTS}/test_overload.py::TestSlowQueries",),
    "L4": (f"{FAULTS}/test_overload.py::TestSlowSenders",),
    "L6": (f"{FAULTS}/test_overload.py::TestOverload",),
    # 10,000 requests: `./callout soak`.
    "L7": (f"{ACCOUNTS}/test_strangers.py::TestPumping", f"{ACCOUNTS}/test_security.py::TestNotices"),
    # Red with: sockets that are closed without a word.
    "O1": (f"{FAULTS}/test_rolling.py::TestRollingRestart", "tests/realtime/test_life.py::TestDraining"),
    "O2": (f"{CORE}/test_health.py::TestHealth", "tests/realtime/test_life.py::TestPages"),
    "O3": (f"{FAULTS}/test_restarted_postgres.py::TestRestartedPostgres",),
    "O4": (f"{FAULTS}/test_redis_matrix.py::TestWithoutRedis",),
    "O7": ("tests/backend/cli/test_operating.py::TestBadSettings",),
    "O8": (
        f"{FAULTS}/test_traces.py::TestRequestIds",
        f"{CORE}/test_middleware.py::TestRequestId",
        "tests/worker/test_jobs.py::TestRunner::test_hands_over_the_moment_the_arguments_and_the_cause",
    ),
    "S1": ("tests/architecture/test_dependencies.py::TestLocks",),
    "S6": ("tests/architecture/test_dependencies.py::TestVersions",),
}


@cache
def _names(file: str) -> frozenset[str]:
    """The test classes of a file, and their tests as `Class::test`."""
    tree = ast.parse((ROOT / file).read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    tests = {
        f"{one.name}::{node.name}"
        for one in classes
        for node in one.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return frozenset(tests | {one.name for one in classes})


class TestPromises:
    @pytest.mark.parametrize("promise", PROMISES)
    def test_each_has_its_test(self, promise: str) -> None:
        for test in PROMISES[promise]:
            file, _, name = test.partition("::")
            assert (ROOT / file).is_file(), test
            assert not name or name in _names(file), test
