"""The backend's entrance for its server."""

import importlib
import os
from pathlib import Path

import ninja
from django.core.wsgi import get_wsgi_application
from whitenoise import WhiteNoise

from backend.core.environment import environment
from backend.core.reception import Reception
from backend.core.starting import loading

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.config.settings")

with loading():
    django_application = WhiteNoise(get_wsgi_application())
    # Every address is loaded now: a mistake stops the start, and the first caller does not wait for it.
    importlib.import_module("backend.config.urls")
# The API pages' scripts and styles, from the package itself: nothing is fetched from another host.
django_application.add_files(str(Path(ninja.__file__).parent / "static" / "ninja"), prefix="static/ninja/")

# It knows models, which are there from here on.
fast_lane = importlib.import_module("backend.core.fast_lane").FastLane(django_application)
application = Reception(fast_lane, threads=environment().backend_threads)
