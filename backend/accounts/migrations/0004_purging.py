"""Indexes by age for what is purged; vacuuming that keeps up with it."""

import django.db.models.deletion
from django.db import migrations, models

BUSY = """
ALTER TABLE accounts_session SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE accounts_refresh_token SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE accounts_code SET (autovacuum_vacuum_scale_factor = 0.05);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_skills"),
    ]

    operations = [
        migrations.AlterField(
            model_name="refreshtoken",
            name="parent",
            field=models.OneToOneField(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="successor",
                to="accounts.refreshtoken",
            ),
        ),
        migrations.AddIndex(
            model_name="invitation",
            index=models.Index(fields=["expires_at"], name="invitation_expiry"),
        ),
        migrations.AddIndex(
            model_name="refreshtoken",
            index=models.Index(
                condition=models.Q(("parent__isnull", False)), fields=["issued_at"], name="refresh_token_replacing"
            ),
        ),
        migrations.AddIndex(
            model_name="session",
            index=models.Index(
                condition=models.Q(("ended_at__isnull", False)), fields=["ended_at"], name="session_ended"
            ),
        ),
        migrations.RunSQL(BUSY, migrations.RunSQL.noop),
    ]
