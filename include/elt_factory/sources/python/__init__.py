"""Python: functions of the project's own as sources, for what no other kind reads."""
