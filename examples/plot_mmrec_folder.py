"""
Dataset folders of MMRec
========================

Many multimodal data sets come as folders in the form of MMRec: a table of interactions with a fixed
split, and one array for each modality. :func:`~recsk.datasets.load_mmrec` reads them. Set
``RECSK_MMREC`` to such a folder to run on it. Otherwise the example writes a small one from
synthetic data and reads it back.
"""

import os
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from recsk import MDERecommender
from recsk.datasets import load_mmrec, make_multimodal
from recsk.metrics import evaluate
from recsk.model_selection import RandomHoldout

QUICK = os.environ.get("RECSK_EXAMPLES") == "quick"
n_users, n_items, max_epochs = (150, 120, 3) if QUICK else (1200, 1500, 100)

# %%
# The files of a folder
# ---------------------
#
# ``NAME.inter`` has one line for each interaction, with a label: 0 for training, 1 for validation,
# 2 for test. Row *i* of ``image_feat.npy`` and of ``text_feat.npy`` is item *i*. A few lines write
# your own data in this form.


def write_folder(folder):
    """Synthetic interactions, a tenth for validation and a fifth for test."""
    made = make_multimodal(n_users, n_items, random_state=0)
    X = made.interactions
    label = np.zeros(len(X), dtype=int)
    fit, test = next(RandomHoldout(test_size=0.2, random_state=0).split(X))
    label[test] = 2
    _, valid = next(RandomHoldout(test_size=0.125, random_state=0).split(X[fit]))
    label[fit[valid]] = 1
    table = np.column_stack([X.user, X.item, label])
    header = "userID\titemID\tx_label"
    np.savetxt(folder / "toy.inter", table, "%d", "\t", header=header, comments="")
    np.save(folder / "image_feat.npy", made.item_features["v"])
    np.save(folder / "text_feat.npy", made.item_features["t"])


if path := os.environ.get("RECSK_MMREC"):
    data = load_mmrec(path)
else:
    with tempfile.TemporaryDirectory() as made:
        write_folder(Path(made))
        print(*sorted(file.name for file in Path(made).iterdir()), "(synthetic)")
        data = load_mmrec(made)
print(f"{data.name}: {data.n_users} users, {data.n_items} items")
print(f"training {len(data.train)}, validation {len(data.valid)}, test {len(data.test)}")
print({name: values.shape for name, values in data.item_features.items()})

# %%
# Fit with early stopping
# -----------------------
#
# ``eval_set`` passes the validation part to early stopping, in place of a share of the training
# interactions. The test part must not be used here: it would choose the epoch.
#
# Without features the same estimator is close to LightGCN, which uses ids alone.

models = {}
for name, features in (("ids alone", None), ("with features", data.item_features)):
    model = MDERecommender(
        learning_rate=5e-3, max_epochs=max_epochs, n_iter_no_change=8, random_state=0
    )
    valid = data.valid if len(data.valid) else None  # some folders have none
    models[name] = model.fit(data.train, item_features=features, eval_set=valid)
    print(f"{name}: kept epoch {model.best_iter_} of {model.n_iter_}")

# %%
# Test
# ----
#
# As in MMRec, only training interactions are masked: items of the validation part compete with
# those of the test part. Programs that mask both report slightly higher figures, which cannot be
# compared with these.

results = {}
for name, model in models.items():
    results[name] = evaluate(model, data.test, metrics=("recall", "ndcg"), k=(10, 20))
    figures = "  ".join(f"{metric} {value:.4f}" for metric, value in results[name].items())
    print(f"{name:14s} {figures}")

# %%
# On the synthetic data features help much, because users and items have few interactions. One run
# on one split is no benchmark: repeat it with several values of `random_state` before you trust a
# small difference.

# sphinx_gallery_thumbnail_number = 2
colours = dict(zip(models, ("#E69F00", "#0072B2"), strict=True))
_, curve = plt.subplots(figsize=(5.4, 3.7), layout="constrained")
_, bars = plt.subplots(figsize=(5.4, 3.7), layout="constrained")
for place, (name, model) in enumerate(models.items()):
    epochs = np.arange(1, model.n_iter_ + 1)
    curve.plot(epochs, model.validation_curve_, color=colours[name], label=name)
    best = model.best_iter_
    curve.plot(best, model.validation_curve_[best - 1], "o", color=colours[name])
    x = np.arange(len(results[name])) + 0.4 * (place - 0.5)
    drawn = bars.bar(x, list(results[name].values()), 0.4, color=colours[name], label=name)
    bars.bar_label(drawn, fmt="%.3f", fontsize=8, padding=2)
curve.set(xlabel="epoch", ylabel=f"validation {model.eval_metric}", title="Dots: the epochs kept")
curve.xaxis.get_major_locator().set_params(integer=True)
curve.legend(frameon=False, loc="lower right")
bars.set_xticks(range(len(results[name])), list(results[name]))
bars.set(ylabel="mean over users", title=f"Test part of {data.name}")
bars.legend(frameon=False, loc="upper left")
bars.margins(y=0.15)
for ax in (curve, bars):
    ax.spines[["top", "right"]].set_visible(False)
plt.show()
