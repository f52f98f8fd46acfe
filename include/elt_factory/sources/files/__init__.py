"""Files in a folder: the language, the reader, what a plan says, how it is sampled, what `elt new` finds."""
