"""Links that are none on the site.

Those of the pages to folders of the repository are right for whoever reads them there; the site
has no such folders and shows the text alone. (A file that a page links to becomes a download, and a
link to what is not there stays a warning; both are MyST's doing.) And ndcg@10 is no address.
"""

from pathlib import Path

from docutils.nodes import reference
from sphinx.addnodes import pending_xref


def unlink_folders(app, doctree):
    """Take a link to a folder outside docs/ for its text."""
    here = Path(app.env.doc2path(app.env.docname)).parent
    for node in list(doctree.findall(pending_xref)):
        if node["reftype"] == "myst" and node["reftarget"].startswith("../"):
            folder = here.joinpath(node["reftarget"]).resolve()
            if folder.is_dir() and not folder.is_relative_to(app.srcdir):
                node.replace_self(node.children)


def unlink_metrics(app, doctree):
    """Take what looks like a mail address for its text."""
    for node in list(doctree.findall(reference)):
        if node.get("refuri", "").startswith("mailto:"):
            node.replace_self(node.children)


def setup(app):
    """Come before references are resolved."""
    app.connect("doctree-read", unlink_folders)
    app.connect("doctree-read", unlink_metrics)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
