"""The Sources page in Airflow's web UI: its API, and the bundle of its page."""
