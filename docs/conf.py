"""The documentation: ``sphinx-build -W docs docs/_build`` (extra "docs")."""

import os
import sys
import warnings

sys.path.insert(0, os.path.dirname(__file__))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import inventories

import skmcdropout

# What examples use, and what they use in turn, is not about to go.
warnings.filterwarnings("error", category=FutureWarning)

project = "skmcdropout"
author = copyright = "The skmcdropout developers"
version = release = skmcdropout.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "sphinx_design",
]
intersphinx_mapping = inventories.mapping()
intersphinx_timeout = 5
exclude_patterns = ["_build", "auto_examples/*.ipynb", "auto_examples/*.zip"]
templates_path = ["_templates"]
default_role = "py:obj"  # a link where there is something to link to
toc_object_entries_show_parents = "hide"
autodoc_typehints = "none"  # the docstrings say more
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "gallery_order.position",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "doc_module": ("skmcdropout",),
    "backreferences_dir": "api/backreferences",
}

html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_title = f"skmcdropout {release}"
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": True,
    "navbar_persistent": ["search-button-field"],
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": [], "api": []}
html_show_sourcelink = False
