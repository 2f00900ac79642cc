"""How long does a model in service take to answer?"""
