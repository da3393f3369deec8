"""Links of the pages that are other links on the site, or none.

Pages link to files and folders of the repository, which is right for whoever reads them there. On
the site an example is a page of the gallery, and other folders are their text alone. (Another file
becomes a download, and a link to what is not there stays a warning; both are MyST's doing.) And
ndcg@10 is no address.
"""

from pathlib import Path

from docutils.nodes import reference
from sphinx.addnodes import download_reference, pending_xref


def lead_to_gallery(app, doctree):
    """Lead links to examples/, and to an example in it, to the pages of the gallery."""
    here = Path(app.env.doc2path(app.env.docname)).parent
    examples = Path(app.srcdir).parent / "examples"
    for node in [*doctree.findall(pending_xref), *doctree.findall(download_reference)]:
        if node["reftype"] != "myst" or not node["reftarget"].startswith("../"):
            continue
        target = here.joinpath(node["reftarget"]).resolve()
        if target == examples or target.match("examples/plot_*.py"):
            page = "index" if target == examples else target.stem
            link = pending_xref(
                refdoc=app.env.docname,
                refdomain="doc",
                reftarget=f"auto_examples/{page}",
                reftargetid=None,
                reftype="myst",
                refexplicit=True,
            )
            link += node.children
            node.replace_self(link)


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
    app.connect("doctree-read", lead_to_gallery)
    app.connect("doctree-read", unlink_folders)
    app.connect("doctree-read", unlink_metrics)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
