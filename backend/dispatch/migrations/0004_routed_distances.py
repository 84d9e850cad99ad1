"""Whether a distance is estimated: all were until now."""

from django.db import migrations, models

# For processes of the version before, which write rows without it.
DEFAULTS = """
ALTER TABLE dispatch_assistance ALTER COLUMN estimated SET DEFAULT true;
ALTER TABLE dispatch_quote ALTER COLUMN estimated SET DEFAULT true;
"""


class Migration(migrations.Migration):
    dependencies = [("dispatch", "0003_purging")]

    operations = [
        migrations.AddField(model_name="assistance", name="estimated", field=models.BooleanField(default=True)),
        migrations.AddField(model_name="quote", name="estimated", field=models.BooleanField(default=True)),
        migrations.RunSQL(DEFAULTS, migrations.RunSQL.noop),
    ]
