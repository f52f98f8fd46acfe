"""Quality and freshness: rules as SQL, their results, what is fresh and what is late."""
