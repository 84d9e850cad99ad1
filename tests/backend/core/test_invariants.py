"""Every invariant holds of what the services write, and notices what breaks it: one planted violation each.

The violations are planted as the owner of the tables, with constraints out of the way where they would refuse them.
Everything happens in one transaction that is rolled back: the town is built once, and each test begins with it whole.
"""

import inspect
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from backend.accounts.services import signing_in
from backend.accounts.services.signing_in import Device
from backend.catalog.services import categories, listings
from backend.core.money import Money
from backend.core.proof import invariants, prove
from backend.dispatch.public import ensure_demo_tariffs
from backend.dispatch.services import progress
from backend.dispatch.states import Status
from backend.messaging import public as messaging
from backend.scheduling.services import progress as progress_of_bookings
from tests.backend.dispatch.conftest import Job, Stage
from tests.backend.scheduling.conftest import DAY, Shop
from tests.conftest import owners_transaction, pinned_clock
from tests.support.jobs import run_jobs
from tests.support.people import make_member
from tests.support.world import rolled_back

NUMBER_EVERYTHING = """
    WITH placed AS (
        SELECT id, room, row_number() OVER (PARTITION BY room ORDER BY id) AS place FROM core_event
    ), heads AS (
        INSERT INTO core_room_head (room, head) SELECT room, max(place) FROM placed GROUP BY room
    )
    UPDATE core_event AS event SET number = placed.place FROM placed WHERE placed.id = event.id
"""


@pytest.fixture(scope="module")
def kept_town(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Stage]:
    """Something of everything: jobs in every state, one of them given back, one that was said, a rating, sessions."""
    with pinned_clock() as at, owners_transaction(django_db_blocker):
        yield _build(Stage(at))


@pytest.fixture
def town(kept_town: Stage) -> Iterator[Stage]:
    """What a test breaks in it is whole for the next one."""
    built_at = kept_town.now
    with rolled_back():
        yield kept_town
    kept_town.at.now = built_at


def _build(stage: Stage) -> Stage:
    ensure_demo_tariffs(now=stage.now)
    for status in (Status.CANCELED, Status.ACCEPTED, Status.ONGOING):
        stage.job(status)
    given_back = stage.job(Status.ACCEPTED)
    stage.move(given_back.assistant, given_back.assistance, Status.CANCELED)
    done = stage.job(Status.COMPLETED)
    progress.rate_assistance(
        actor=done.client.actor, assistance_id=done.assistance.pk, rating=4, comment="", now=stage.now
    )
    _say(stage, done)
    _offer(stage)
    stage.request()
    user = stage.client().user
    tokens = signing_in.open_session(user=user, device=Device("127.0.0.1", "tests"), now=stage.now)
    _rotate(tokens.refresh, stage)
    run_jobs("notifications.tell_of_event")
    _book(Shop(stage.at))
    execute(NUMBER_EVERYTHING)
    execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")  # no table is altered while checks wait
    return stage


def _book(shop: Shop) -> None:
    client = shop.client()
    edited = shop.book(client)
    progress_of_bookings.edit_booking(
        actor=client.actor, booking_id=edited.pk, changes={"notes": "Ring twice"}, versions=None, now=shop.now
    )
    shop.confirm(edited)  # seen red when an edit took a version and no line of the history
    shop.book(client, shop.tomorrow + DAY)
    shop.cancel(shop.book(client, shop.tomorrow + 2 * DAY), client)
    done = shop.confirm(shop.book(client, shop.tomorrow + 3 * DAY))
    progress_of_bookings.complete_booking(actor=shop.provider.actor, booking_id=done.pk, now=done.starts_at)


def _offer(stage: Stage) -> None:
    category = categories.add_category(
        actor=make_member("manager").actor,
        values={"name": "Pipes", "description": "", "parent_id": None},
        now=stage.now,
    )
    offered = {"title": "Tap", "price": Money(1000, "DZD"), "duration_minutes": 60, "category_id": category.pk}
    listings.add_service(actor=make_member("contractor").actor, values=offered, now=stage.now)


def _say(stage: Stage, job: Job) -> None:
    conversation_id = job.assistance.conversation_id
    assert conversation_id is not None
    messaging.send_message(actor=job.client.actor, conversation_id=conversation_id, content="Hello", now=stage.now)
    messaging.remove_member(conversation_id=conversation_id, user_id=job.client.id, now=stage.now)


def _rotate(token: str, stage: Stage) -> None:
    claims = signing_in._read(token, now=stage.now)
    rotate = inspect.unwrap(signing_in._rotate)  # its transaction must be the outermost, and here it is not
    assert rotate(claims, Device("127.0.0.1", "tests"), now=stage.now) is not None


def execute(statements: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statements)


def broken(stage: Stage) -> set[str]:
    findings = prove(now=stage.now, patience_s=30)
    return {finding.invariant.name for finding in findings if not finding.holds}


FREE_OF = "ALTER TABLE {} DROP CONSTRAINT {};"
SWAPPED = """
    UPDATE core_event SET number = -number WHERE room LIKE '{0}:%' AND number < 3;
    UPDATE core_event SET number = 3 + number WHERE room LIKE '{0}:%' AND number < 0"""
"""The first two numbers of each room change places."""

PLANTED: dict[str, str] = {
    "core.numbers_are_dense": "DELETE FROM core_event WHERE number = 2 AND room LIKE 'assistance:%'",
    "core.heads_are_the_last_numbers": "UPDATE core_room_head SET head = head + 1 WHERE room LIKE 'user:%'",
    "core.events_get_their_numbers": """
        INSERT INTO core_event (room, partition, type, data, request_id, created_at, written_at)
        VALUES ('user:1', crc32('user:1') % 16, 'access.changed', '{}', '', now(), now() - interval '31 s')""",
    "core.events_are_in_their_partition": "UPDATE core_event SET partition = (partition + 1) % 16",
    "core.jobs_are_under_way": """
        INSERT INTO core_job (name, queue, arguments, request_id, status, run_at, sent_at, fence, attempts, last_error)
        VALUES ('core.purge', 'bulk', '{}', '', 'pending', '2030-05-15 09:29:00+00', now(), 1, 1, '')""",
    "core.no_job_was_given_up": """
        INSERT INTO core_job
            (name, queue, arguments, request_id, status, run_at, finished_at, fence, attempts, last_error)
        VALUES ('core.purge', 'bulk', '{}', '', 'dead', now(), now(), 8, 8, 'it never worked')""",
    "core.finished_jobs_are_nobodys": "UPDATE core_job SET status = 'done' WHERE name = 'dispatch.expire_request'",
    "core.histories_are_dense": "DELETE FROM core_state_change WHERE version = 2",
    "core.there_is_one_epoch": "INSERT INTO core_epoch (name) VALUES ('second')",
    "accounts.the_inactive_have_no_session": "UPDATE accounts_user SET is_active = false WHERE roles = '{client}'",
    "accounts.chains_have_one_end": FREE_OF.format("accounts_refresh_token", "accounts_refresh_token_parent_id_key")
    + """
        INSERT INTO accounts_refresh_token (jti, session_id, parent_id, device, issued_at, expires_at)
        SELECT gen_random_uuid(), session_id, parent_id, device, issued_at, expires_at FROM accounts_refresh_token
        WHERE parent_id IS NOT NULL""",
    "accounts.assistants_showed_their_licence": "UPDATE accounts_user SET roles = '{client,assistant}'",
    "accounts.the_deleted_left_nothing": FREE_OF.format("accounts_user", "user_deleted_is_nobody")
    + "UPDATE accounts_user SET deleted_at = now() WHERE 'assistant' = ANY(roles)",
    "catalog.standings_are_sums": "UPDATE catalog_provider_standing SET finished_jobs = finished_jobs + 1",
    "catalog.verified_reviews_are_of_finished_work": "UPDATE catalog_review SET reference = 'assistance:0'",
    "catalog.reviews_are_shown_in_time": """
        UPDATE catalog_review SET is_visible = false, visible_from = '2030-05-15 09:00:00+00'""",
    "catalog.reviews_are_events": "DELETE FROM core_event WHERE type = 'review.created'",
    "catalog.providers_are_as_their_accounts": "UPDATE accounts_user SET city = 'Oran'",
    "catalog.words_follow_categories": "UPDATE catalog_category SET name = 'Roofs'",
    "catalog.pictures_are_kept": "INSERT INTO media_stored_file (key, created_at)"
    " VALUES ('pictures/a/400.webp', now())",
    "media.what_is_shown_is_kept": "UPDATE accounts_user SET photo = 'photos/lost'",
    "media.what_nobody_shows_is_purged": "INSERT INTO media_stored_file (key, created_at)"
    " VALUES ('photos/a/64.webp', now())",
    "media.exports_come_and_go": """
        INSERT INTO media_export (status, version, created_at, updated_at, user_id, session_id, key)
        SELECT 'requested', 1, '2030-05-15 08:00:00+00', now(), min(id), 1, '' FROM accounts_user""",
    "media.the_deleted_left_no_file": FREE_OF.format("accounts_user", "user_deleted_is_nobody")
    + """
        UPDATE accounts_user SET deleted_at = now();
        INSERT INTO media_export (status, version, created_at, updated_at, user_id, session_id, key)
        SELECT 'requested', 1, '2030-05-15 09:30:00+00', now(), min(id), 1, '' FROM accounts_user""",
    "messaging.those_it_was_opened_with_are_members": "DELETE FROM messaging_member WHERE left_at IS NULL",
    "messaging.members_were_announced": "UPDATE messaging_member SET added_event_id = added_event_id + 1",
    "messaging.departures_were_announced": "DELETE FROM core_event WHERE type = 'member.removed'",
    "messaging.numbers_follow_causes": SWAPPED.format("conversation"),
    "messaging.messages_are_events": "DELETE FROM core_event WHERE type = 'message.created'",
    "notifications.unread_is_counted": "UPDATE notifications_inbox SET unread = unread + 1",
    "notifications.what_is_shown_was_told": "DELETE FROM core_event WHERE type = 'notification.created'",
    "notifications.what_is_queued_is_under_way": "DELETE FROM core_job WHERE name = 'notifications.deliver'",
    "notifications.what_waits_is_gathered": "UPDATE notifications_delivery SET status = 'waiting'",
    "messaging.unread_is_what_is_not_read": "UPDATE messaging_member SET unread_count = unread_count + 1",
    "messaging.positions_count": "UPDATE messaging_conversation SET said_count = said_count + 1",
    "messaging.the_last_message_is_the_last": "UPDATE messaging_conversation SET last_message_id = NULL",
    "messaging.watermarks_are_within": "UPDATE messaging_member SET delivered_message_id = 2::bigint ^ 60",
    "messaging.blocks_act_in_conversations_of_two": "UPDATE messaging_member SET blocks_other = true",
    "messaging.only_two_withhold": "UPDATE messaging_message SET is_withheld = true;"
    "UPDATE messaging_conversation SET opened_with = opened_with || 9::bigint",
    "messaging.groups_are_told": "UPDATE messaging_conversation SET news_at = '2030-05-15 09:00:00+00'",
    "messaging.what_is_attached_is_kept": "INSERT INTO media_stored_file (key, created_at)"
    " VALUES ('attachments/a.jpg', now())",
    "dispatch.one_winner_per_round": """
        UPDATE dispatch_offer SET status = 'accepted' WHERE status = 'open'""",
    "dispatch.one_open_job_per_assistant": "DROP INDEX assistance_one_open_per_assistant;"
    "UPDATE dispatch_assistance SET assistant_id = (SELECT min(assistant_id) FROM dispatch_assistance)"
    " WHERE status IN ('accepted', 'ongoing')",
    "dispatch.one_open_request_per_client": "DROP INDEX assistance_one_open_per_client;"
    "UPDATE dispatch_assistance SET client_id = (SELECT min(client_id) FROM dispatch_assistance)",
    "dispatch.offers_are_open_while_searching": "UPDATE dispatch_offer SET status = 'open' WHERE status = 'accepted'",
    "dispatch.no_request_is_stuck": "DELETE FROM core_job WHERE name = 'dispatch.offer_next_wave'",
    "dispatch.waves_follow_each_other": "UPDATE dispatch_wave SET number = 3",
    "dispatch.a_state_is_its_history": "UPDATE dispatch_assistance SET version = version + 1",
    "dispatch.changes_are_events": "DELETE FROM core_event WHERE type = 'assistance.status' AND number = 2",
    "dispatch.offers_are_events": "DELETE FROM core_event WHERE type = 'assistance.withdrawn'",
    "dispatch.one_conversation_per_acceptance": "UPDATE messaging_conversation SET closed_at = NULL",
    "dispatch.assistants_were_announced": "UPDATE dispatch_assistance SET assistant_added_event_id = 1",
    "dispatch.finished_work_is_counted_once": "DELETE FROM catalog_finished_work",
    "dispatch.numbers_follow_causes": SWAPPED.format("assistance"),
    "scheduling.no_time_is_sold_twice": FREE_OF.format("scheduling_booking", "booking_no_overlap")
    + "UPDATE scheduling_booking SET blocked = tstzrange('2000-01-01', '2100-01-01')",
    "scheduling.agreed_times_are_held": FREE_OF.format("scheduling_booking", "booking_confirmed_holds")
    + "UPDATE scheduling_booking SET holds_slot = false WHERE status = 'confirmed'",
    "scheduling.no_booking_is_stuck": "DELETE FROM core_job WHERE name = 'scheduling.take_next_step'",
    "scheduling.a_state_is_its_history": "UPDATE scheduling_booking SET version = 0",
    "scheduling.changes_are_events": "DELETE FROM core_event WHERE type = 'booking.updated'",
    "scheduling.finished_work_is_counted_once": """
        UPDATE catalog_finished_work SET withdrawn_at = now() WHERE reference LIKE 'booking:%'""",
    "scheduling.openings_leave_out_what_is_held": """
        DELETE FROM scheduling_stale_openings;
        INSERT INTO catalog_calendar_openings (provider_id, place, service_ids, notice_minutes, periods, updated_at)
        SELECT DISTINCT provider_id, 0, '{}'::bigint[], 0, tstzmultirange(tstzrange('2000-01-01', '2100-01-01')), now()
        FROM scheduling_booking""",
    "scheduling.the_catalogue_is_told": "DELETE FROM core_job WHERE name = 'scheduling.push_openings'",
    "dispatch.only_assistants_are_on_duty": "UPDATE accounts_user SET roles = '{client}'",
}


class TestInvariants:
    def test_hold_of_what_the_services_write(self, town: Stage) -> None:
        assert broken(town) == set()

    def test_each_has_its_violation(self, town: Stage) -> None:
        assert {invariant.name for invariant in invariants()} == set(PLANTED)

    @pytest.mark.parametrize("name", PLANTED)
    def test_notices(self, town: Stage, name: str) -> None:
        execute(PLANTED[name])
        assert name in broken(town)

    def test_a_stuck_request_is_one_without_its_end(self, town: Stage) -> None:
        execute("DELETE FROM core_job WHERE name = 'dispatch.expire_request'")
        assert broken(town) == {"dispatch.no_request_is_stuck"}

    def test_a_lost_event_of_a_room_is_no_hole_once_it_may_be_purged(self, town: Stage) -> None:
        execute("DELETE FROM core_event WHERE number = 2")
        town.at.now += timedelta(days=8)
        assert "core.numbers_are_dense" not in broken(town)
