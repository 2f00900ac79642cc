"""Share data sets, resumable jobs, measures and tables between the questions."""
