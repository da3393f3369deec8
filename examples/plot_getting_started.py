"""
Getting started
===============

Fits :class:`recsk.MDERecommender` on synthetic data and draws who listens to which modality.
"""

# %%
# Data whose users choose by what the items show, and a fifth of it held out.

import os

from recsk import MDERecommender
from recsk.datasets import make_multimodal
from recsk.metrics import evaluate
from recsk.model_selection import RandomHoldout
from recsk.plotting import PreferenceDisplay

quick = os.environ.get("RECSK_EXAMPLES") == "quick"
data = make_multimodal(n_users=200, n_items=300, random_state=0)
X = data.interactions
train, test = next(RandomHoldout(test_size=0.2, random_state=0).split(X))

# %%
# Fit, and measure.

model = MDERecommender(n_factors=16, max_epochs=5 if quick else 50, random_state=0)
model.fit(X[train], item_features=data.item_features)
print(evaluate(model, X[test], metrics=("recall", "ndcg"), k=10))

# %%
# How much each modality weighs.

PreferenceDisplay.from_estimator(model)
