"""The page that holds slides: nbconvert's for reveal.js, with what lies beside it."""

STYLE = """
:root { --jp-content-font-size1: 21px; --jp-code-font-size: 17px; --jp-ui-font-size1: 17px;
        --jp-cell-prompt-width: 0; --jp-cell-padding: 2px; }
html, body, main { height: 100%; }
body.jp-Notebook { padding: 0; background: #fff; overflow: hidden; }
.reveal { font-family: system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #1a1a1a; }
.reveal .slides { text-align: left; }
.reveal .slides section { height: 100%; overflow-y: auto; }
.reveal h1 { font-size: 1.9em; } .reveal h2 { font-size: 1.5em; } .reveal h3 { font-size: 1.15em; }
.reveal h1, .reveal h2, .reveal h3 { line-height: 1.2; margin: 0.2em 0 0.6em; color: #14375e; }
.reveal h3 { color: #4d6b88; }
.reveal .jp-InputPrompt, .reveal .jp-OutputPrompt, .reveal .jp-Collapser,
.reveal .anchor-link { display: none; }
.reveal .jp-RenderedHTMLCommon { font-size: 21px; line-height: 1.4; }
.reveal p, .reveal ul, .reveal ol, .reveal blockquote { margin: 0.45em 0; }
.reveal strong { font-weight: 700; } .reveal em { font-style: italic; }
.reveal ul { list-style: disc; padding-left: 1.3em; } .reveal ol { padding-left: 1.5em; }
.reveal ol { list-style: decimal; } .reveal li { margin: 0.15em 0; }
.reveal mjx-assistive-mml { max-height: 1px !important; }
.reveal blockquote { border-left: 5px solid #56b4e9; background: #f2f7fb; padding: 0.3em 0.9em; }
.reveal figure { margin: 0; text-align: center; }
.reveal figure img, .reveal .ibtutor-picture img { max-height: 480px; max-width: 100%;
  width: auto; height: auto; }
.reveal figcaption { font-size: 16px; color: #444; text-align: left; }
.reveal pre { box-shadow: none; width: 100%; margin: 0; font-size: 17px; line-height: 1.35; }
.reveal table { font-size: 17px; border-collapse: collapse; margin: 0.4em auto; }
.reveal th, .reveal td { padding: 0.2em 0.7em; border-bottom: 1px solid #ddd; }
.reveal details { cursor: pointer; }
.reveal pre, .reveal code, .reveal pre span { font-family: "DejaVu Sans Mono", monospace; }
.reveal .slide-number { right: auto; left: 8px; }
.reveal .ibtutor-stamp { display: none; }
"""

MATHJAX = r"""
window.MathJax = {
  tex: { inlineMath: [["$", "$"], ["\\(", "\\)"]], displayMath: [["$$", "$$"], ["\\[", "\\]"]],
         processEscapes: true, processEnvironments: true, tags: "none" },
  options: { skipHtmlTags: ["script", "noscript", "style", "textarea", "pre", "code"],
             menuOptions: { settings: { inTabOrder: false } } } };
"""

TEMPLATE = (
    """{%- extends 'reveal/index.html.j2' -%}
{%- block header -%}
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ nb.metadata.get('title', '') | escape_html_keep_quotes }}</title>
<link rel="stylesheet" href="reveal/reset.css"><link rel="stylesheet" href="reveal/reveal.css">
{% for css in resources.inlining.css -%}<style>{{ css }}</style>{% endfor %}
{{ resources.include_css("static/theme-light.css") }}
<style>"""
    + STYLE
    + """</style><script>"""
    + MATHJAX
    + """</script><script src="mathjax/tex-mml-chtml.js" defer></script></head>
{%- endblock header -%}
{% block footer_js %}
<script src="reveal/reveal.js"></script>
<script>
Reveal.initialize({ hash: true, slideNumber: "h.v", width: 1100, height: 720, margin: 0.03,
                    center: false, transition: "none" });
</script>
{% endblock footer_js %}
"""
)
