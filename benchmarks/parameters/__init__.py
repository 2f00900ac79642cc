"""Which default settings find rare classes best?"""
