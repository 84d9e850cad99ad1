"""The one router of messaging."""

from ninja import Router

router = Router()
