"""Formulas as MathML, which browsers draw themselves: no script, nothing from another server."""

from docutils import nodes
from latex2mathml.converter import convert


def visit_inline(self, node):
    """Write a formula of a line."""
    self.body.append(convert(node.astext()))
    raise nodes.SkipNode


def visit_block(self, node):
    """Write a formula of its own; a wide one scrolls."""
    self.body.append(self.starttag(node, "div", CLASS="math-block"))
    self.body.append(convert(" ".join(node.astext().split()), display="block"))
    self.body.append("</div>")
    raise nodes.SkipNode


def setup(app):
    """Offer it as ``html_math_renderer = "mathml"``."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
