"""The helpers of FocalXGBClassifier."""
