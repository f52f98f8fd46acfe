"""A little HTML: pages, tables, facts, every text escaped. One file of style, no script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

STYLE = """\
:root{--ink:#1d2733;--soft:#5b6776;--line:#e2e6eb;--tint:#f7f8fa;--link:#1f63c4}
*{box-sizing:border-box}
body{margin:0;color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
header{border-bottom:1px solid var(--line);background:var(--tint)}
header nav,main{max-width:1180px;margin:0 auto;padding:0 28px}
header nav{display:flex;gap:22px;align-items:center;height:54px;overflow-x:auto}
header a{color:var(--soft);text-decoration:none;white-space:nowrap}
header a.here{color:var(--ink);font-weight:600}
header a.brand{color:var(--ink);font-weight:700;margin-right:8px}
main{padding-bottom:64px}
h1{font-size:30px;margin:36px 0 4px;letter-spacing:-.01em}
h2{font-size:20px;margin:40px 0 12px}
h3{font-size:16px;margin:28px 0 4px;scroll-margin-top:16px}
p.lead{color:var(--soft);font-size:17px;margin:0 0 22px;max-width:75ch}
p{max-width:80ch}
a{color:var(--link)}
code{font:13px/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;background:#eef1f5;border-radius:5px;padding:1px 5px;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:max-content 1fr;gap:6px 26px;margin:0}
dt{color:var(--soft)}
dd{margin:0}
.wide{overflow-x:auto;border:1px solid var(--line);border-radius:10px}
table{border-collapse:collapse;width:100%;font-size:14px}
th{text-align:left;font-weight:600;color:var(--soft);background:var(--tint);white-space:nowrap}
th,td{padding:8px 13px;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}
td code{white-space:nowrap}
.tag{display:inline-block;font-size:12px;border-radius:20px;padding:0 9px;margin:1px 5px 1px 0;background:#e9e8fd;color:#4a43bd;white-space:nowrap}
.tag.pii{background:#fde8e8;color:#b02a2a}
.picture{overflow-x:auto;border:1px solid var(--line);border-radius:12px}
.picture svg{display:block}
ul{padding-left:20px;margin:0}
footer{color:var(--soft);font-size:13px;margin-top:56px;border-top:1px solid var(--line);padding-top:14px}
@media print{header{display:none}}
"""  # noqa: E501 - a style sheet


class Html(str):
    """Text that is HTML already. All other text is escaped where it is put into a page."""

    __slots__ = ()


def put(text: str) -> Html:
    """Return a text as HTML."""
    return text if isinstance(text, Html) else Html(escape(text))


def joined(parts: Iterable[str], between: str = " ") -> Html:
    """Several texts as one HTML."""
    return Html(between.join(put(part) for part in parts))


def code(text: str) -> Html:
    """Return a text as code."""
    return Html(f"<code>{escape(text)}</code>") if text else Html("")


def tag(text: str, kind: str = "") -> Html:
    """Return a small label."""
    return Html(f'<span class="tag {kind}">{escape(text)}</span>')


def link(target: str, text: str) -> Html:
    """Return a link."""
    return Html(f'<a href="{escape(target, quote=True)}">{escape(text)}</a>')


def bullets(items: Sequence[str]) -> Html:
    """Return a list; a single item stands alone."""
    if len(items) <= 1:
        return joined(items)
    return Html(f"<ul>{''.join(f'<li>{put(item)}</li>' for item in items)}</ul>")


def facts(entries: Iterable[tuple[str, str]]) -> Html:
    """Names with what is to be said of them; those with nothing to say are left out."""
    return Html(f"<dl>{''.join(f'<dt>{put(name)}</dt><dd>{put(text)}</dd>' for name, text in entries if text)}</dl>")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Html:
    """Return a table; columns in which no row says anything are left out."""
    cells = [[put(cell) for cell in row] for row in rows]
    kept = [n for n in range(len(heads)) if any(row[n] for row in cells)]
    head = "".join(f"<th>{escape(heads[n])}</th>" for n in kept)
    body = "".join(f"<tr>{''.join(f'<td>{row[n]}</td>' for n in kept)}</tr>" for row in cells)
    return Html(f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>')


def picture(svg: str) -> Html:
    """Return a generated picture within the page."""
    return Html(f'<div class="picture">{svg}</div>') if svg else Html("")


def page(title: str, lead: str, body: Iterable[str], menu: Iterable[tuple[str, str]], here: str) -> str:
    """Return a whole page; the menu has targets and names, `here` is the target of this page."""
    places = "".join(f'<a href="{target}"{_class(target, here)}>{escape(name)}</a>' for target, name in menu)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="stylesheet" href="style.css">\n'
        f'</head>\n<body>\n<header><nav><a class="brand" href="index.html">Data pipelines</a>{places}</nav></header>\n'
        f'<main>\n<h1>{escape(title)}</h1>\n<p class="lead">{put(lead)}</p>\n{joined(body, chr(10))}\n'
        "<footer>Made by <code>elt docs</code> from the YAML files: change those, not this page.</footer>\n"
        "</main>\n</body>\n</html>\n"
    )


def heading(text: str, anchor: str = "", level: int = 2) -> Html:
    """Return a heading, with an anchor where something links to it."""
    return Html(f"<h{level}{f' id={chr(34)}{escape(anchor)}{chr(34)}' if anchor else ''}>{escape(text)}</h{level}>")


def _class(target: str, here: str) -> str:
    return ' class="here"' if target == here else ""
