"""MongoDB: the language, the reader, what a plan says, what `elt new` finds."""
