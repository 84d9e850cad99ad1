"""The one router of dispatch."""

from ninja import Router

router = Router()
