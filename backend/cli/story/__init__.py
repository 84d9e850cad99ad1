"""The story of one roadside job, played through the public API and real sockets: the demo's and the journey test's."""
