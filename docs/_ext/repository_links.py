"""Links of the pages to folders of the repository, which are right for whoever reads them there.

The site has no such folders and shows the text alone. (A file that a page links to becomes a
download, and a link to what is not there stays a warning; both are MyST's doing.)
"""

from pathlib import Path

from sphinx.addnodes import pending_xref


def unlink_folders(app, doctree):
    """Take a link to a folder outside docs/ for its text."""
    here = Path(app.env.doc2path(app.env.docname)).parent
    for node in list(doctree.findall(pending_xref)):
        if node["reftype"] == "myst" and node["reftarget"].startswith("../"):
            folder = here.joinpath(node["reftarget"]).resolve()
            if folder.is_dir() and not folder.is_relative_to(app.srcdir):
                node.replace_self(node.children)


def setup(app):
    """Come before references are resolved."""
    app.connect("doctree-read", unlink_folders)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
