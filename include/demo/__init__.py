"""The demo's source systems over the real 2013 departures from New York: an HTTP API, files, a database."""
