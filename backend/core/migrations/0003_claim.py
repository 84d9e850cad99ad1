"""A request with an `Idempotency-Key` is claimed, and its kept answer found, in one statement."""

from django.db import migrations

CLAIM = """
CREATE FUNCTION core_claim(lock bigint, whose bigint, what text, called text)
RETURNS TABLE (is_claimed boolean, status smallint, body bytea, body_hash bytea) LANGUAGE plpgsql AS $$
BEGIN
    is_claimed := pg_try_advisory_xact_lock(lock);
    -- A statement of its own, which sees whatever was committed before the lock was given.
    SELECT kept.status, kept.body, kept.body_hash INTO status, body, body_hash FROM core_idempotent_answer AS kept
    WHERE is_claimed AND kept.user_id = whose AND kept.operation = what AND kept.key = called;
    RETURN NEXT;
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0002_first_rows")]

    operations = [migrations.RunSQL(CLAIM, "DROP FUNCTION core_claim")]
