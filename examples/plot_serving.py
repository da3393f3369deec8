"""
Serving: save, load, approximate search
=======================================

Fit in one place, answer in another: for known users, for new users, and fast. This example needs
the extras ``safe`` (safetensors) and ``ann`` (faiss): ``python -m pip install safetensors
faiss-cpu``.
"""

import os
import tempfile
import time
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np

import recsk
from recsk import MDERecommender
from recsk.datasets import make_multimodal
from recsk.metrics import evaluate, ndcg_at_k
from recsk.model_selection import RandomHoldout
from recsk.ranking import ItemIndex, top_k

QUICK = os.environ.get("RECSK_EXAMPLES") == "quick"
n_users, n_items, max_epochs, n_calls = (150, 500, 2, 20) if QUICK else (1000, 20_000, 8, 300)

# %%
# Fit
# ---
#
# Users from number `n_known` on are not in training: they arrive after the fit.

data = make_multimodal(n_users=n_users, n_items=n_items, interactions_per_user=20, random_state=0)
X = data.interactions
n_known = n_users * 4 // 5
earlier, later = next(RandomHoldout(test_size=0.2, random_state=0).split(X))
earlier, later = X[earlier], X[later]
train = earlier[earlier.user < n_known]
model = MDERecommender(n_factors=32, learning_rate=5e-3, max_epochs=max_epochs, random_state=0)
model.fit(train, item_features=data.item_features)

# %%
# Save
# ----
#
# `recsk.save` writes arrays and JSON; reading them runs no code. joblib keeps any Python object,
# such as a whole search. Loading such a file can run any code: use it for your own files only.

folder = tempfile.TemporaryDirectory()
safe, pickled = Path(folder.name, "model.recsk"), Path(folder.name, "model.joblib")
recsk.save(model, safe)
joblib.dump(model, pickled)
print(
    f"recsk.save {safe.stat().st_size / 1e6:.1f} MB, joblib {pickled.stat().st_size / 1e6:.1f} MB"
)
served = recsk.load(safe)
assert (served.recommend([0, 1])[0] == model.recommend([0, 1])[0]).all()
assert (joblib.load(pickled).recommend([0, 1])[0] == model.recommend([0, 1])[0]).all()
folder.cleanup()

# %%
# New users
# ---------
#
# Histories of new users are folded in without a fit. Items of the history are not recommended
# (``exclude_seen``). The list for an empty history is the same for all users and cannot leave out
# what each has seen, so we remove seen items from it ourselves.

known = evaluate(served, later[later.user < n_known], metrics="ndcg", k=20)["ndcg@20"]
new_users = np.arange(n_known, n_users)
histories, truth = earlier.to_csr()[new_users], later.to_csr()[new_users]
folded, _ = served.recommend(user_items=histories, k=20)
famous = served.recommend(user_items=[[]], k=n_items)[0][0]
popular = [famous[~np.isin(famous, row.indices)][:20] for row in histories]
print(f"NDCG@20 of users of training {known:.4f}")
print(f"NDCG@20 of users never seen  {ndcg_at_k(folded, truth):.4f}")
print(f"  with the most popular items {ndcg_at_k(popular, truth):.4f}")

# %%
# Approximate search
# ------------------
#
# `recommend` scores all items. An index of faiss visits a part of them, and scores what it finds
# exactly. ``ann = model.to_ann()`` makes it, and ``ann.query(vectors, k=10, exclude=seen,
# weights=weights)`` searches: `weights` of the histories are for the item-to-item part of the
# scores.

served.to_ann().query(
    served.user_vectors([0, 1]),
    k=10,
    exclude=served.interactions_[[0, 1]],
    weights=served.history_weights([0, 1]),
)

# %%
# Whether that is faster depends on the size of the catalogue. Four noisy copies of every item make
# a catalogue that is five times as large. `to_ann` returns a :class:`~recsk.ranking.ItemIndex`, as
# used here.

rng = np.random.default_rng(0)
copies = [served.item_embedding_] + [
    served.item_embedding_ + rng.normal(0, 0.05, served.item_embedding_.shape) for _ in range(4)
]
items = np.vstack(copies).astype(np.float32)
vectors = served.user_vectors()


def milliseconds(answer):
    """Median time of one call for one user."""
    taken = []
    for user in np.arange(n_calls) % n_known:
        began = time.perf_counter()
        answer(user)
        taken.append(time.perf_counter() - began)
    return 1000 * np.median(taken)


sizes, exact_times, index_times = [n_items // 5, n_items, 5 * n_items], [], []
for size in sizes:
    part = items[:size]
    ann = ItemIndex(part, np.ones(size, dtype=np.float32))
    exact_times.append(milliseconds(lambda user, part=part: top_k(vectors[[user]], part, 10)))
    index_times.append(milliseconds(lambda user, ann=ann: ann.query(vectors[user], k=10)))
    print(f"{size:6d} items: exact {exact_times[-1]:.2f} ms, index {index_times[-1]:.2f} ms")

# %%
# `search_width` (default 128) is the number of candidates that a search keeps. More candidates are
# slower, and find more of the exact first ten.

exact, _ = top_k(vectors, items, 10)
widths, recalls, times = [16, 32, 64, 128, 256], [], []
for ann.search_width in widths:
    found, _ = ann.query(vectors, k=10)
    recalls.append(np.mean([np.isin(a, b).mean() for a, b in zip(exact, found, strict=True)]))
    times.append(milliseconds(lambda user: ann.query(vectors[user], k=10)))
    print(f"search_width {ann.search_width:3d}: {recalls[-1]:.3f} found, {times[-1]:.2f} ms")

# %%
# Exact time grows in proportion to the catalogue; that of the index hardly grows. Below some tens
# of thousands of items (depending on machine and width) the exact ranking is faster. A
# `search_width` of 64 finds nearly all of the exact items. Measure both on your own vectors, which
# may be harder to tell apart.

_, by_size = plt.subplots(figsize=(5.4, 3.7), layout="constrained")
_, by_width = plt.subplots(figsize=(5.4, 3.7), layout="constrained")
by_size.loglog(sizes, exact_times, color="#D55E00", marker="s", label="exact")
by_size.loglog(sizes, index_times, color="#0072B2", marker="o", label="index")
by_size.set_xticks(sizes, [f"{size:,}" for size in sizes])
by_size.minorticks_off()
by_size.yaxis.set_major_formatter("{x:g}")
by_size.set(xlabel="items in the catalogue", ylabel="one request (ms, median)", title="Time")
by_size.legend(frameon=False)
by_width.plot(times, recalls, color="#0072B2", marker="o")
for width, found, taken in zip(widths, recalls, times, strict=True):
    by_width.annotate(f"{width}", (taken, found), (6, -12), textcoords="offset points", fontsize=8)
by_width.set(
    xlabel="one request (ms, median)",
    ylabel="share of the exact first ten",
    title=f"search_width, {sizes[-1]:,} items",
)
by_width.margins(x=0.1, y=0.12)
for ax in (by_size, by_width):
    ax.spines[["top", "right"]].set_visible(False)
plt.show()
