"""The database's first epoch and its clock, and vacuuming that keeps up with the busy tables."""

from django.db import migrations

FIRST_ROWS = """
INSERT INTO core_epoch (name) VALUES (substr(replace(gen_random_uuid()::text, '-', ''), 1, 8));
INSERT INTO core_clock (id, offset_ms) VALUES (1, 0);
"""

BUSY = """
ALTER TABLE core_event SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE core_job SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_analyze_scale_factor = 0.02);
ALTER TABLE core_idempotent_answer SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE core_room_head SET (autovacuum_vacuum_scale_factor = 0.02, fillfactor = 70);
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]

    operations = [
        migrations.RunSQL(FIRST_ROWS, "DELETE FROM core_epoch; DELETE FROM core_clock;"),
        migrations.RunSQL(BUSY, migrations.RunSQL.noop),
    ]
