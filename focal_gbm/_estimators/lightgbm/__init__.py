"""The parts of FocalLGBMClassifier that depend on LightGBM."""
