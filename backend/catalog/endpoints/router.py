"""The router that the files of this folder add their operations to."""

from ninja import Router

router = Router()
