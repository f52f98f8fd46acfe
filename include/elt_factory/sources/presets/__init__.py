"""Ready configs of well-known APIs for the reader of JSON APIs, each with what its public documentation says."""
