"""A picture as PNG, for pages and chats that show no SVG."""

from __future__ import annotations

from importlib.resources import files

from elt_factory.core.extras import needs

_SCALE = 2.0  # sharp on screens with small pixels, and in print
_FONT = "Inter"


def png_of(svg: str) -> bytes:
    """Return the picture of an SVG document, drawn here: no browser and no system library is needed."""
    with needs("pictures", "a picture as PNG"):
        import fontpkg_inter
        import resvg_py

    # a slim container has no fonts, and a picture of boxes without words says nothing
    fonts = [str(file) for file in (files(fontpkg_inter) / "files").iterdir() if file.name.endswith(".ttf")]
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=_SCALE, font_files=fonts, sans_serif_family=_FONT))
