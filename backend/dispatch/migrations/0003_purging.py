"""An index by age for the tracks that are purged; vacuuming that keeps up with it."""

from django.db import migrations, models

BUSY = """
ALTER TABLE dispatch_track_point SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE dispatch_quote SET (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("dispatch", "0002_busy_tables"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="trackpoint",
            index=models.Index(fields=["at"], name="track_age"),
        ),
        migrations.RunSQL(BUSY, migrations.RunSQL.noop),
    ]
