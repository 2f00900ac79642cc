"""Answer questions about focal_gbm by measurement, a package for each question."""
