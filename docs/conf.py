"""The documentation: `make docs` builds it into build/docs, without a network, and fails on every warning."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent), str(HERE.parent / "device"), str(HERE.parent / "fleet")]

from edgetl import __version__  # noqa: E402

project = "edgetl"
author = "the edgetl authors"
project_copyright = "the edgetl authors. Apache-2.0"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "edgetl_docs",
    "rest_reference",
]
exclude_patterns = ["_ext"]
templates_path: list[str] = []

html_theme = "furo"
html_title = f"edgetl {release}"
html_static_path = ["_static"]
html_css_files = ["edgetl.css"]
html_copy_source = False
html_show_sphinx = False

myst_enable_extensions = ["colon_fence", "deflist", "attrs_block"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
suppress_warnings: list[str] = []

autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_numpy_docstring = False
napoleon_use_rtype = False

# Other projects' objects: their inventories would have to be downloaded.
nitpick_ignore_regex = [("py:.*", r"(?!edgetl).*")]
