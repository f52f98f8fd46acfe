"""Projects of other tools as configs: what can be said is written, what cannot is named, and nothing is dropped."""
