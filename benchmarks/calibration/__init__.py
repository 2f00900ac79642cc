"""How many frauds does a calibrator need, and how long do fraud rates hold?"""
