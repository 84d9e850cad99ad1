"""Addresses that were proved by nobody who was seen to have the account."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_deleted_accounts"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="email_proved_apart",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
