"""Reading sources: a kind of source per module, and what they share.

A reader leaves raw records in files and counts them.
"""
