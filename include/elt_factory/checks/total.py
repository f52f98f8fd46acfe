"""The sum of a column over the rows of a load."""

from elt_factory.checks.figures import figure_kind

KIND = figure_kind("sum", lambda value: f"sum({value})", "Limits on the sum of the load's values.")
