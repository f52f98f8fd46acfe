"""The demo's week: what is asked for, and what the data are known to hold."""

WEEK = {"window_start": "2013-01-01", "window_end": "2013-01-08"}
DAGS = ("fleet", "weather", "flights", "departures")
COUNTS = {
    "flights.flights": 6_099,
    "weather.weather": 2_226,
    "fleet.planes": 3_322,
    "fleet.airlines": 16,
    "fleet.airports": 1_458,
}
MARTS = ("marts.delay_by_carrier_hour", "marts.delay_by_weather", "marts.fleet_age")


def failures(outcome) -> dict[str, str]:
    """The tasks of a run that failed, each with what it said."""
    return {task.task_id: task.detail for task in outcome.tasks if task.state == "failed"}
