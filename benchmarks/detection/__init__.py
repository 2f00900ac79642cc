"""How well do the models find rare classes, at default settings and tuned?"""
