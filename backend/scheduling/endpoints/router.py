"""The one router of scheduling."""

from ninja import Router

router = Router()
