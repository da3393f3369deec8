"""
Sequential recommendation: Amazon Reviews 2023
==============================================

Titles and descriptions of products become features: tf-idf, then a truncated SVD. That needs no
download; vectors of a language model go in the same way. Set ``RECSK_AMAZON_RATINGS`` and
``RECSK_AMAZON_METADATA`` to the two files of a category from https://amazon-reviews-2023.github.io
to run on real reviews. Otherwise the example makes synthetic texts and purchases.
"""

import os

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.utils import Bunch

from recsk import MDSRecRecommender
from recsk.datasets import make_multimodal
from recsk.model_selection import LeaveLastOut

QUICK = os.environ.get("RECSK_EXAMPLES") == "quick"
n_users, n_items, max_epochs = (150, 100, 2) if QUICK else (1200, 2500, 60)
TOPICS = """
    kettle pan spatula oven whisk bowl knife lid
    garden hose seed soil rake pot lawn hedge
    tent rope torch boot trail stove flask camp
    brush canvas paint easel pencil sketch ink frame
    cable charger plug adapter battery screen port stand
    yarn needle fabric thread button zip pattern sewing
    drill hammer screw saw clamp wrench bolt chisel
    leash collar kennel treat litter aquarium perch cage
"""

# %%
# Read the data
# -------------
#
# Synthetic products have a strength in each of eight topics, and words drawn by it. A fifth of them
# have no description, as on real product pages.


def synthetic():
    """Purchases, and texts that the hidden factors of the items speak through."""
    topics = np.array([line.split() for line in TOPICS.strip().splitlines()])
    made = make_multimodal(
        n_users,
        n_items,
        modalities=("text",),
        n_factors=len(topics),
        sequential=0.5,
        popularity=0.8,
        random_state=0,
    )
    rng = np.random.default_rng(0)
    odds = np.exp(1.5 * made.item_factors["text"])
    odds /= odds.sum(axis=1, keepdims=True)

    def write(n_words):
        chosen = [rng.choice(len(topics), n_words, p=p) for p in odds]
        words = rng.integers(topics.shape[1], size=(n_items, n_words))
        return np.array([" ".join(topics[row]) for row in zip(chosen, words, strict=True)])

    descriptions = write(25)
    descriptions[rng.random(n_items) < 0.2] = ""
    return Bunch(interactions=made.interactions, titles=write(4), descriptions=descriptions)


ratings, metadata = (os.environ.get(f"RECSK_AMAZON_{part}") for part in ("RATINGS", "METADATA"))
if ratings and metadata:
    from recsk.datasets import load_amazon_reviews

    data, source = load_amazon_reviews(ratings, metadata, min_count=5), "Amazon Reviews 2023"
else:
    data, source = synthetic(), "Synthetic purchases and texts"
# A purchase, whatever its stars; lists of positions, to index the titles by.
X = data.interactions.with_value(None).without_labels()
print(f"{source}: {X.n_users} users, {X.n_items} products, {len(X)} purchases")
described = int(np.argmax(data.descriptions != ""))
print(f"a title: {data.titles[described]}")
print(f"its description: {data.descriptions[described][:75]}")

# %%
# Texts to features
# -----------------
#
# Titles are one modality, descriptions another. A product without a text gets a row of NaN: it
# lacks the modality. A row of zeros would make all such products alike.
#
# The vocabulary is made from all products, also those without purchases. This is no leak: product
# texts exist before the first purchase. Texts of *reviews* would be a leak, because buyers write
# them.


def encode(texts):
    """Rows of numbers, NaN where there is no text."""
    written = np.array([bool(text.strip()) for text in texts])
    encoder = make_pipeline(
        TfidfVectorizer(sublinear_tf=True, max_features=20_000),
        TruncatedSVD(16 if QUICK else 32, random_state=0),
    )
    rows = encoder.fit_transform(texts[written])
    encoded = np.full((len(texts), rows.shape[1]), np.nan, dtype=np.float32)
    encoded[written] = rows
    return encoded


features = {"title": encode(data.titles), "description": encode(data.descriptions)}
for name, values in features.items():
    print(f"{name}: {values.shape}, {np.isnan(values[:, 0]).mean():.0%} without")

# %%
# Split
# -----
#
# The last purchase of each user is held out.

train, last = next(LeaveLastOut().split(X))
train, last = X[train], X[last]
parameters = {
    "n_factors": 32,
    "max_epochs": max_epochs,
    "early_stopping": True,
    "n_iter_no_change": 5,
    "random_state": 0,
}
models = {
    "SASRec (ids alone)": MDSRecRecommender(**parameters).fit(train),
    "MDSRec (with texts)": MDSRecRecommender(**parameters).fit(train, item_features=features),
}
for name, model in models.items():
    print(f"{name:20s} kept epoch {model.best_iter_} of {model.n_iter_}")

# %%
# Which items gain
# ----------------
#
# With one held-out item for each user, recall@10 is the share of users who find it in the first
# ten. We group it by the number of purchases in training.
#
# On the synthetic data, texts help a little in total, and most for frequently bought items. For
# items bought once or twice, ids alone find more. Items without purchases are found by their texts
# alone, and rarely: known items rank above them.

bought = np.bincount(train.item, minlength=X.n_items)
ranges = ((0, 0), (1, 2), (3, 5), (6, 10), (11, bought.max()))
of_last = bought[last.item]
lists = {name: model.recommend(last.user, k=10)[0] for name, model in models.items()}
famous = np.argsort(-bought, kind="stable")
seen = train.to_csr()
lists["Popularity"] = np.array(
    [
        first[~np.isin(first, past)][:10]
        for past in (seen[[user]].indices for user in last.user)
        for first in [famous[: 10 + len(past)]]
    ]
)
found = {name: (ids == last.item[:, None]).any(axis=1) for name, ids in lists.items()}
for name, hits in found.items():
    error = hits.std() / np.sqrt(len(hits))
    print(f"{name:20s} recall@10 {hits.mean():.3f} (standard error {error:.3f})")
gain = found["MDSRec (with texts)"].astype(float) - found["SASRec (ids alone)"]
error = gain.std() / np.sqrt(len(gain))
print(f"texts add {gain.mean():.3f} (standard error, user by user, {error:.3f})")

groups = [(low, high, (of_last >= low) & (of_last <= high)) for low, high in ranges if low <= high]
groups = [group for group in groups if group[2].any()]
names = [f"{low}" if low == high else f"{low} to {high}" for low, high, _ in groups]
labels = [f"{name}\n({group[2].sum()})" for name, group in zip(names, groups, strict=True)]
colours = {
    "Popularity": "#999999",
    "SASRec (ids alone)": "#E69F00",
    "MDSRec (with texts)": "#0072B2",
}
_, ax = plt.subplots(figsize=(5.4, 3.7), layout="constrained")
for place, (name, colour) in enumerate(colours.items()):
    shares = [found[name][group].mean() for _, _, group in groups]
    x = np.arange(len(groups)) + 0.27 * (place - 1)
    ax.bar_label(
        ax.bar(x, shares, 0.27, color=colour, label=name), fmt="%.2f", fontsize=8, padding=2
    )
    for group, share in zip(names, shares, strict=True):
        print(f"{name:20s} item bought {group} times in training: {share:.3f}")
ax.set_xticks(range(len(groups)), labels)
ax.set(xlabel="purchases of the item in training (users)", ylabel="recall@10")
ax.set_title(f"Next purchase found. {source}")
ax.legend(frameon=False, loc="upper left")
ax.margins(y=0.2)
ax.spines[["top", "right"]].set_visible(False)
plt.show()
