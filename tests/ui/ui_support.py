"""What the tests of the page share."""

import os

HIDDEN = "<script>alert(1)</script>"  # what a source may say


def pictures_wanted() -> bool:
    """Whether docs/images is written again: ELT_PICTURES=1."""
    return bool(os.environ.get("ELT_PICTURES"))
