"""The backend's entrance for its server."""

import os
from pathlib import Path

import ninja
from django.core.wsgi import get_wsgi_application
from whitenoise import WhiteNoise

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")

application = WhiteNoise(get_wsgi_application())
# The API pages' scripts and styles, from the package itself: nothing is fetched from another host.
application.add_files(str(Path(ninja.__file__).parent / "static" / "ninja"), prefix="static/ninja/")
