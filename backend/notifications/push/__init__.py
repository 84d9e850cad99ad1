"""Pushes to browsers (Web Push) and phones (Firebase Cloud Messaging)."""
