"""Vacuuming that keeps up with the busy tables; room on their pages for the next version of a row."""

from django.db import migrations

BUSY = """
ALTER TABLE dispatch_assistant SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE dispatch_assistance SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE dispatch_offer SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE dispatch_track_point SET (autovacuum_vacuum_insert_scale_factor = 0.05);
"""


class Migration(migrations.Migration):
    dependencies = [("dispatch", "0001_initial")]

    operations = [migrations.RunSQL(BUSY, migrations.RunSQL.noop)]
