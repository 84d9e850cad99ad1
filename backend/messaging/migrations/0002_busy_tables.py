"""Vacuuming that keeps up with the busy tables; room on their pages for the next version of a row."""

from django.db import migrations

BUSY = """
ALTER TABLE messaging_conversation SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE messaging_member SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE messaging_message SET (autovacuum_vacuum_insert_scale_factor = 0.05);
"""


class Migration(migrations.Migration):
    dependencies = [("messaging", "0001_initial")]

    operations = [migrations.RunSQL(BUSY, migrations.RunSQL.noop)]
