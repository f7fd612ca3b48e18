"""HTML pages and pictures, self-contained."""
