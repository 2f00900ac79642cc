"""Data sets, resumable jobs, measures and tables of all questions."""
