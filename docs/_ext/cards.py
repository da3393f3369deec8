"""The lists of the landing page and of the user guide as cards, and the picture beside its text.

The pages are plain Markdown, which reads as a list wherever it is not built.
"""

from docutils.nodes import bullet_list, image


def mark(app, doctree):
    """Name what recsk.css draws as cards."""
    if app.env.docname in ("index", "guide/index"):
        for node in doctree.findall(bullet_list):
            node["classes"].append("cards")
    if app.env.docname == "index":
        for node in doctree.findall(image):
            node["classes"].append("opening")


def setup(app):
    """Register with Sphinx."""
    app.connect("doctree-read", mark)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
