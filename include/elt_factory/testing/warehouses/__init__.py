"""What every warehouse must do: a suite a module, each a class that a fixture `connect` makes a warehouse's own.

`connect()` opens one more connection to a warehouse that is the test's own, and empty at first.
"""
