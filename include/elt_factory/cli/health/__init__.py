"""What `elt doctor` looks at: a module per subject, each check a function that yields what it found."""
