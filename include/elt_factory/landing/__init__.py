"""From raw records to a landing: the contract in DuckDB, Parquet parts, rejects, and last the manifest."""
