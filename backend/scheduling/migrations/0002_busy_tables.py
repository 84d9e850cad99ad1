from django.db import migrations

BUSY = """
ALTER TABLE scheduling_booking SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE scheduling_stale_openings SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
    autovacuum_vacuum_insert_scale_factor = 0);
"""
"""Every step of a booking's life is a new version of its row. Openings that changed stand for a second and are gone:
the table is empty nearly always, so that a share of its rows says nothing.
"""

AS_BEFORE = """
ALTER TABLE scheduling_booking RESET (fillfactor, autovacuum_vacuum_scale_factor, autovacuum_analyze_scale_factor);
ALTER TABLE scheduling_stale_openings RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold,
    autovacuum_vacuum_insert_scale_factor);
"""


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0001_initial")]

    operations = [migrations.RunSQL(BUSY, AS_BEFORE)]
