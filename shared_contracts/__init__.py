"""What the backend, the sidecar and the workers must agree on: names, messages and their shapes.

Imports nothing of ours and no framework; only the standard library and pydantic.
"""
