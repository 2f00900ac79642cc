"""The helpers of FocalLGBMClassifier."""
