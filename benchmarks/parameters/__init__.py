"""Compare default settings, starting points and switches of the libraries."""
