"""How Sphinx builds the pages; ``python -m tox run -e docs`` does."""

import os
import sys
from pathlib import Path

import recsk

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "recsk"
author = "recsk developers"
copyright = "the recsk developers, BSD-3-Clause"
version = release = recsk.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "cards",
    "mathml",
    "quick_examples",
    "repository_links",
]
exclude_patterns = ["_build", "_templates", "api/generated/backreferences"]
templates_path = ["_templates"]
default_role = "literal"  # `k` in a docstring is code
nitpicky = True  # a reference that leads nowhere is a warning, and -W makes it an error

# ------------------------------------------------------------------------------ pages in Markdown

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# ---------------------------------------------------------------------------------- API reference

autosummary_generate = True
toc_object_entries_show_parents = "hide"  # short entries beside a page
autodoc_typehints = "none"  # the docstrings say it, in words
numpydoc_show_class_members = False  # the template of a class lists its methods
numpydoc_xref_param_type = False

# --------------------------------------------------------------------------- links to other pages

# The inventories come from the network, which a build does not ask for unless told to.
if os.environ.get("RECSK_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "scipy": ("https://docs.scipy.org/doc/scipy", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
    }
nitpick_ignore_regex = [
    ("py:.*", r"(numpy|scipy|sklearn|torch|matplotlib)\..*"),  # what only intersphinx could find
    ("py:obj", r"shape"),  # a property, which numpydoc links to and the class's page describes
]

# ---------------------------------------------------------------------------------------- gallery

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_",
    # Scripts with arguments, which `tox run -e demo` and `-e serve` run.
    "ignore_pattern": r"quickstart|^serve\.py",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "backreferences_dir": "api/generated/backreferences",
    "doc_module": ("recsk",),
    "reference_url": {"recsk": None},
    "inspect_global_variables": False,
    "ignore_repr_types": r"recsk\.plotting",  # a display is drawn, and its repr tells nothing
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 10,
    "thumbnail_size": (480, 320),
    "plot_gallery": os.environ.get("RECSK_EXAMPLES") != "none",
}

# ------------------------------------------------------------------------------------------- HTML

html_theme = "pydata_sphinx_theme"
html_title = f"recsk {release}"
html_static_path = ["_static"]
html_css_files = ["recsk.css"]
html_show_sourcelink = False
html_copy_source = False
html_math_renderer = "mathml"
html_sidebars = {page: [] for page in ("index", "getting_started", "migrating", "changelog")}
html_theme_options = {
    "logo": {"text": "recsk"},
    "navbar_align": "left",
    "header_links_before_dropdown": 5,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}

# ------------------------------------------------------------------- links out, `-e linkcheck`

linkcheck_timeout = 30
linkcheck_retries = 2
