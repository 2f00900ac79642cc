"""How much time and memory does focal loss cost against the built-in loss?"""
