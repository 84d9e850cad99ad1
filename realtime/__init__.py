"""The sidecar: Socket.IO for the apps. Knows sockets and contracts; no Django, no database, no business rule."""
