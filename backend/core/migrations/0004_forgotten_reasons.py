"""What somebody said of a step is found when their account goes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0003_claim"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="statechange",
            index=models.Index(
                condition=models.Q(("reason", ""), _negated=True), fields=["by_id"], name="state_change_reasons"
            ),
        ),
    ]
