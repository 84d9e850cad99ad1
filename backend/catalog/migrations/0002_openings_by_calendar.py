import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

import backend.core.fields

COPY = """
INSERT INTO catalog_calendar_openings (provider_id, place, service_ids, notice_minutes, periods, updated_at)
SELECT provider_id, 0, '{}', 0, periods, updated_at FROM catalog_openings;
"""
"""Until they are told anew, within a day, all of a provider's calendars are one."""

STORAGE = """
ALTER TABLE catalog_calendar_openings SET (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.05);
"""
"""They stay in their row, uncompressed: a search looks into all of them."""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_deleted_accounts"),
        ("catalog", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="CalendarOpenings",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "provider",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.user",
                    ),
                ),
                ("place", models.PositiveSmallIntegerField()),
                (
                    "service_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), default=list, size=None
                    ),
                ),
                ("notice_minutes", models.PositiveIntegerField(default=0)),
                ("periods", backend.core.fields.PeriodsField()),
                ("updated_at", models.DateTimeField()),
            ],
            options={
                "db_table": "catalog_calendar_openings",
                "indexes": [
                    models.Index(
                        condition=models.Q(("service_ids", []), _negated=True),
                        fields=["provider"],
                        name="openings_for_some_services",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("provider", "place"), name="openings_once_per_calendar")
                ],
            },
        ),
        migrations.RunSQL(STORAGE, migrations.RunSQL.noop),
        migrations.RunSQL(COPY, migrations.RunSQL.noop),
        migrations.DeleteModel(name="Openings"),
        migrations.RemoveIndex(model_name="service", name="service_of_provider"),
        migrations.AddIndex(
            model_name="service",
            index=models.Index(
                fields=["provider", "id"],
                include=("is_shown", "created_at", "price_thousandths", "category", "duration_minutes"),
                name="service_of_provider",
            ),
        ),
        migrations.AddIndex(
            model_name="service",
            index=models.Index(
                fields=["category", "created_at", "id"],
                include=("is_shown", "price_thousandths", "provider", "duration_minutes"),
                name="service_in_category",
            ),
        ),
        migrations.AlterField(
            model_name="service",
            name="category",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="catalog.category",
            ),
        ),
        migrations.AddIndex(
            model_name="provider",
            index=models.Index(condition=models.Q(("is_listed", True)), fields=["user"], name="provider_listed"),
        ),
    ]
