"""The mean of a column over the rows of a load."""

from elt_factory.checks.figures import figure_kind

KIND = figure_kind("mean", lambda value: f"avg({value})", "Limits on the mean of the load's values.")
