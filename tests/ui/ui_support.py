"""What the tests of the page share."""

HIDDEN = "<script>alert(1)</script>"  # what a source may say
