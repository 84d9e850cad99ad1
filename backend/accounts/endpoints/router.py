"""The router that all operations of accounts hang on."""

from ninja import Router

router = Router()
