"""Keeping the processes of a local Airflow running, and saying what became of them."""
