"""Every address of the backend."""

from django.urls import URLPattern, URLResolver, path

from backend.config.api import api, docs_page, redoc_page
from backend.core import files, health
from backend.core.endpoints import internal_api

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", api.urls),
    path("api/docs", docs_page, name="docs"),
    path("api/redoc", redoc_page, name="redoc"),
    path("internal/", internal_api.urls),
    path("files/<str:signed>", files.serve),
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    path("metrics", health.prometheus),
]
