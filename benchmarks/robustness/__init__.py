"""Break things on purpose, and count what is lost."""
