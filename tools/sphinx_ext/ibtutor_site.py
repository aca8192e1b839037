"""What the built site needs beside its pages, and what search engines and previews read.

Each page gets tags for previews; the site gets a root page, `404.html` and `sitemap.xml`. Finished
pages lose a script that holds up their first paint, a picture gets its height and a box that can
scroll, and what a cell links by full address is found in the site itself.
"""

import base64
import html
import os.path
import re
import struct
from pathlib import Path

from sphinx.application import Sphinx

# Font Awesome's web font draws the icons; its script, 1.5 MB that block the page, draws them again.
ICON_SCRIPT = re.compile(r'\s*<script src="[^"]*/fontawesome/[^"]*\.js[^"]*"></script>')
ICON_PRELOAD = re.compile(r'\s*<link rel="preload" as="font"[^>]*>')
TITLE_TWICE = re.compile(r"<title>(.+?) (?:—|&#8212;) \1</title>")
PICTURE = re.compile(r'(<figure class="ibtutor-figure">)(<img [^>]*width="(\d+)" style=")([^>]*>)')
DATA = re.compile(r"data:image/png;base64,([A-Za-z0-9+/]{32})")
DRAWING = re.compile(r'<img (?![^>]*\b(?:width|height)=)([^>]*src="([^"]+\.svg)"[^>]*)>')
VIEW = re.compile(r'<svg[^>]*\bviewBox="\s*[-\d.]+[ ,]+[-\d.]+[ ,]+([\d.]+)[ ,]+([\d.]+)')
EMPTY_HEAD = re.compile(r"<th([^>]*)>(?:\s|&nbsp;|<p></p>)*</th>")
DESCRIBES = re.compile(r'<meta [^>]*(?:name="description"|="og:|="twitter:)[^>]*>')
ARTICLE = '<article class="bd-article">'
# Light or dark: the theme asks the system only when its last script has come.
THEME = 'localStorage.getItem("theme") || "auto"'
THEME_AT_ONCE = (
    'localStorage.getItem("theme") || '
    '(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")'
)
NO_SCRIPT = (
    "<noscript><p><em>Without JavaScript, formulas stand as they are typed, in LaTeX.</em></p>"
    "</noscript>"
)
STYLE = (
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem}"
    ":root{color-scheme:light dark}"
)


def finish(text: str) -> str:
    """Return a built page as it is served."""
    text = ICON_PRELOAD.sub("", ICON_SCRIPT.sub("", text))
    text = text.replace(THEME, THEME_AT_ONCE).replace(' data-theme="auto"', ' data-theme="light"')
    text = TITLE_TWICE.sub(r"<title>\1</title>", text)
    text = PICTURE.sub(_boxed, text)
    text = EMPTY_HEAD.sub(r"<td\1></td>", text)  # the corner of a data frame heads nothing
    if 'class="math' in text and NO_SCRIPT not in text:
        text = text.replace(ARTICLE, ARTICLE + NO_SCRIPT)
    return text


def _boxed(found: re.Match) -> str:
    """Give an embedded picture its height, so that nothing moves when it comes, and a box.

    Below 500 pixels it keeps a width at which its labels can be read (ibtutor.css).
    """
    figure, image, width, rest = found.groups()
    if head := DATA.search(image):
        wide, high = struct.unpack(">II", base64.b64decode(head[1])[16:24])
        height = round(int(width) * high / wide)
        image = image.replace(f'width="{width}"', f'width="{width}" height="{height}"')
    return f'{figure}<div class="ibtutor-picture">{image}--width:{width}px;{rest}</div>'


def measure(text: str, folder: Path) -> str:
    """Give each drawing of a page, an SVG file, its width and height."""

    def sized(found: re.Match) -> str:
        drawing = folder / found[2]
        box = VIEW.search(drawing.read_text("utf8")) if drawing.is_file() else None
        if box is None:
            return found[0]
        width, height = (round(float(side)) for side in box.groups())
        return f'<img width="{width}" height="{height}" {found[1]}>'

    return DRAWING.sub(sized, text)


def localize(text: str, name: str, base: str, known: set[str]) -> str:
    """Lead links of the page `name` to pages below `base` to those of this site, where it has them.

    Prose was localized by ibtutor_book; what is left is written by cells.
    """

    def local(found: re.Match) -> str:
        page, section = found[2] or "index.html", found[3] or ""
        if page not in known:
            return found[0]
        return f'{found[1]}{os.path.relpath(page, os.path.dirname(name) or ".")}{section}"'

    full = re.compile(rf'(<a [^>]*href="){re.escape(base)}/?([^"#]*)(#[^"]*)?"')
    return full.sub(local, text)


def unlink(text: str, planned: set[str]) -> str:
    """Leave the words of links to chapters that are not written; records may come before them."""
    for slug in planned:
        link = rf'<a [^>]*href="(?:[^"]*/)?{re.escape(slug)}\.html[^"]*"[^>]*>(.*?)</a>'
        text = re.sub(link, r"\1", text, flags=re.DOTALL)
    return text


def tags(title: str, description: str, address: str, site: str, base: str) -> str:
    """Return the tags from which other sites make a preview of a page."""
    wanted = {
        "og:type": "website",
        "og:site_name": site,
        "og:title": title,
        "og:description": description,
        "og:url": address,
        "og:image": f"{base}/_static/preview.png",
        "og:image:width": "1200",
        "og:image:height": "630",
        "og:image:alt": "Information plane: label smoothing as points on the diagonal",
        "twitter:card": "summary_large_image",
    }
    kind = {"twitter:card": "name"}
    return "\n".join(
        f'<meta {kind.get(name, "property")}="{name}" content="{html.escape(value)}" />'
        for name, value in wanted.items()
    )


def add_tags(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Add the preview's tags to a page. Its description was added before."""
    if doctree is None:
        return
    metatags = context.get("metatags", "")
    found = re.search(r'<meta [^>]*name="description"[^>]*>', metatags)
    described = re.search(r'content="([^"]*)"', found[0]) if found else None
    title = html.unescape(re.sub(r"<[^>]+>", "", context["title"]))
    description = html.unescape(described[1]) if described else ""
    base = app.config.html_baseurl.rstrip("/")
    address = f"{base}/{pagename}.html"
    new = tags(title, description, address, app.config.html_title, base)
    context["metatags"] = f"{metatags}\n{new}"


def show_title_beside_logo(app: Sphinx, config) -> None:
    """Set what `_config.yml` cannot: there it would replace all of Jupyter Book's options."""
    config.html_theme_options["logo"] = {"text": config.html_title, "alt_text": "Home:"}


def sitemap(base: str, names: list[str]) -> str:
    entries = "".join(f"<url><loc>{base}/{name}</loc></url>\n" for name in names)
    head = '<?xml version="1.0" encoding="utf-8"?>\n'
    return (
        f'{head}<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{entries}</urlset>\n'
    )


def small_page(title: str, head: str, body: str) -> str:
    """Return a page that needs no other file."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n{head}\n<style>{STYLE}</style></head>\n"
        f"<body><main>\n<h1>{html.escape(title)}</h1>\n{body}\n</main></body></html>\n"
    )


def complete(app: Sphinx, exception: Exception | None) -> None:
    """Finish the built pages and write those that Sphinx does not."""
    if exception is not None or app.builder.name != "html":
        return
    from book_toc import planned  # Sphinx puts the folder of its extensions on the path

    out, base = Path(app.outdir), app.config.html_baseurl.rstrip("/")
    names = sorted(p.relative_to(out).as_posix() for p in out.rglob("*.html"))
    for name in names:
        if not name.startswith("_static/"):
            page = out / name
            text = unlink(finish(page.read_text("utf8")), planned(Path(app.srcdir)))
            text = localize(text, name, base, {*names})
            page.write_text(measure(text, page.parent), "utf8")
    docs = {f"{doc}.html" for doc in app.env.found_docs}
    (out / "sitemap.xml").write_text(sitemap(base, [n for n in names if n in docs]), "utf8")

    front = f"{app.config.root_doc}.html"
    icon = f"_static/{Path(app.config.html_favicon).name}"
    missing = (
        "<p>The address may be old, or the chapter may not be written yet.</p>\n"
        f'<p>Go to the <a href="{base}/{front}">front page with the contents</a>, or '
        f'<a href="{base}/search.html">search the book</a>.</p>'
    )
    title = f"No such page: {app.config.html_title}"
    (out / "404.html").write_text(
        small_page(title, f'<link rel="icon" href="{base}/{icon}">', missing), "utf8"
    )

    described = DESCRIBES.findall((out / front).read_text("utf8"))
    link = f'<link rel="canonical" href="{base}/{front}">\n<link rel="icon" href="{icon}">'
    refresh = f'<meta http-equiv="refresh" content="0; url={front}">'
    head = "\n".join([*described, link, refresh])
    body = f'<p><a href="{front}">Read the book</a></p>'
    (out / "index.html").write_text(small_page(app.config.html_title, head, body), "utf8")


def setup(app: Sphinx) -> dict:
    app.connect("config-inited", show_title_beside_logo)
    app.connect("html-page-context", add_tags, priority=800)
    app.connect("build-finished", complete, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
