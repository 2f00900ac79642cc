"""
Detect fraud
============

A placeholder of the set-up; the story follows.
"""

# %%
# Transactions
# ------------
from focal_gbm.datasets import make_transactions

make_transactions(n_customers=50, n_days=40).head()
