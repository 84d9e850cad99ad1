"""Vacuuming that keeps up with the busy tables; room on their pages for the next version of a row."""

from django.db import migrations

BUSY = """
ALTER TABLE notifications_inbox SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE notifications_notification SET (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE notifications_delivery SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
"""


class Migration(migrations.Migration):
    dependencies = [("notifications", "0001_initial")]

    operations = [migrations.RunSQL(BUSY, migrations.RunSQL.noop)]
