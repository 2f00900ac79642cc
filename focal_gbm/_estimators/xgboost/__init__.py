"""The parts of FocalXGBClassifier that depend on XGBoost."""
