"""The only place that imports Airflow's DAG machinery: factory, operators, sensors, transform, deadlines, alerts."""
