"""
A dataset folder of MMRec
=========================

Many data sets of multimodal recommendation are handed on as folders in the form of MMRec: one table
of interactions with a fixed split, and one array per modality.
:func:`~recsk.datasets.load_mmrec` reads them. Set ``RECSK_MMREC`` to such a folder to run on
it; otherwise this example writes a small one from synthetic data and reads it back.
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
# What is in a folder
# -------------------
#
# ``NAME.inter`` has a line per interaction, with a label that says which part it belongs to: 0 for
# training, 1 for validation, 2 for test. Row *i* of ``image_feat.npy`` and of ``text_feat.npy`` is
# item *i*. To write one's own data in this form takes a few lines.


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
# Fit on one part, stop by another, test on the third
# ---------------------------------------------------
#
# ``eval_set`` gives the validation part to early stopping, in place of a share of the training
# interactions. To give it the test part instead would choose the epoch by the answers.
#
# Without features the same estimator is close to LightGCN, which knows ids alone.

models = {}
for name, features in (("ids alone", None), ("with features", data.item_features)):
    model = MDERecommender(
        learning_rate=5e-3, max_epochs=max_epochs, n_iter_no_change=8, random_state=0
    )
    valid = data.valid if len(data.valid) else None  # some folders have none
    models[name] = model.fit(data.train, item_features=features, eval_set=valid)
    print(f"{name}: kept epoch {model.best_iter_} of {model.n_iter_}")

# %%
# The test part
# -------------
#
# As in MMRec, only training interactions are masked: what is in the validation part competes with
# what is in the test part, for the model was not told of it. Figures of programs that mask both are
# a little higher, and not to be compared with these.

results = {}
for name, model in models.items():
    results[name] = evaluate(model, data.test, metrics=("recall", "ndcg"), k=(10, 20))
    figures = "  ".join(f"{metric} {value:.4f}" for metric, value in results[name].items())
    print(f"{name:14s} {figures}")

# %%
# On the synthetic data features are worth much: there are seven training interactions per user and
# fewer per item, and they show in fewer epochs, too. One run on one split is no benchmark, though:
# repeat it with several values of `random_state` before you believe a small difference.

colours = dict(zip(models, ("#E69F00", "#0072B2"), strict=True))
figure, (curve, bars) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
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
