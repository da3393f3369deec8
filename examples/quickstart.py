"""Recommend with pictures and texts, and see what they are worth.

Makes a small world whose users choose by what an item's picture ("v") and text
("t") show, fits MDERecommender, and sets it beside a popularity ranking and a
tuned ALS from implicit, which both see clicks only. Runs offline, in under two
minutes on two CPU cores:

    python examples/quickstart.py
"""

import argparse
import time
from pathlib import Path

import numpy as np
from implicit.als import AlternatingLeastSquares
from matplotlib.figure import Figure

from recsk import MDERecommender
from recsk.datasets import make_multimodal
from recsk.metrics import evaluate
from recsk.model_selection import RandomHoldout

METRICS = ("recall", "ndcg", "precision", "map")
CUTOFFS = (10, 20)
COLOURS = {"Popularity": "#999999", "ALS (implicit)": "#E69F00", "MDE (recsk)": "#0072B2"}


class Popularity:
    """The items taken most often, the same for everyone save what they have seen."""

    def fit(self, X):
        self.seen_ = X.to_csr()
        self.counts_ = np.asarray(self.seen_.sum(axis=0)).ravel()
        return self

    def recommend(self, user_ids, k=10, *, exclude_seen=True):
        scores = np.tile(self.counts_, (len(user_ids), 1))
        if exclude_seen:
            scores[self.seen_[user_ids].nonzero()] = -np.inf
        ids = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return ids, np.take_along_axis(scores, ids, axis=1)


class ALS:
    """implicit's alternating least squares, behind the same two methods."""

    def __init__(self, **parameters):
        self.model = AlternatingLeastSquares(num_threads=1, **parameters)

    def fit(self, X):
        self.seen_ = X.to_csr()
        self.model.fit(self.seen_, show_progress=False)
        return self

    def recommend(self, user_ids, k=10, *, exclude_seen=True):
        seen = self.seen_[user_ids]
        return self.model.recommend(user_ids, seen, N=k, filter_already_liked_items=exclude_seen)


def tune_als(train, seed):
    """Give ALS its chance: the best of a few settings on a part of the training data."""
    inner, valid = next(RandomHoldout(test_size=0.2, random_state=seed).split(train))
    settings = [
        {"factors": factors, "alpha": alpha, "regularization": 1.0, "random_state": seed}
        for factors in (8, 16, 32)
        for alpha in (1.0, 5.0, 20.0)
    ]
    found = [
        evaluate(ALS(**setting).fit(train[inner]), train[valid], metrics=("ndcg",), k=(20,))
        for setting in settings
    ]
    best = settings[int(np.argmax([figures["ndcg@20"] for figures in found]))]
    print(
        f"ALS: {best['factors']} factors and alpha {best['alpha']:g} were the best of "
        f"{len(settings)} settings on a part of the training data."
    )
    return ALS(**best).fit(train)


def print_recommendations(model, train, data, users, k=5):
    ids, scores = model.recommend(users, k=k)
    for row, user in enumerate(users):
        preference = ", ".join(
            f"{name} {share:.2f}"
            for name, share in zip(data.modality_names, model.user_preference_[user], strict=True)
        )
        listed = "  ".join(
            f"{item}:{score:.2f}" for item, score in zip(ids[row], scores[row], strict=True)
        )
        print(f"  user {user} (saw {np.sum(train.user == user)} items; looks at {preference})")
        print(f"    item:score  {listed}")


def print_table(results):
    columns = [f"{metric}@{k}" for k in CUTOFFS for metric in METRICS]
    print("  " + "model".ljust(16) + "".join(column.rjust(14) for column in columns))
    for name, figures in results.items():
        print("  " + name.ljust(16) + "".join(f"{figures[c]:14.4f}" for c in columns))


def draw(results, mde, path):
    fig = Figure(figsize=(11, 4.6), layout="constrained")
    axes = fig.subplot_mosaic([["bars", "loss"], ["bars", "valid"]], width_ratios=(3, 2))

    bars = axes["bars"]
    shown = [f"{metric}@{k}" for metric in ("recall", "ndcg") for k in CUTOFFS]
    width = 0.8 / len(results)
    for place, (name, figures) in enumerate(results.items()):
        x = np.arange(len(shown)) + (place - (len(results) - 1) / 2) * width
        drawn = bars.bar(x, [figures[c] for c in shown], width, label=name, color=COLOURS[name])
        bars.bar_label(drawn, fmt="%.2f", fontsize=8, padding=2)
    bars.set_xticks(np.arange(len(shown)), shown)
    bars.set_ylabel("mean over users")
    bars.set_title("Held-out interactions found (higher is better)")
    bars.legend(frameon=False)

    colour = COLOURS["MDE (recsk)"]
    loss = np.sum(list(mde.loss_curve_.values()), axis=0)
    axes["loss"].plot(np.arange(1, len(loss) + 1), loss, color=colour)
    axes["loss"].set_ylabel("training loss")
    axes["loss"].set_title("MDERecommender while it learns")
    axes["valid"].plot(
        np.arange(1, len(loss) + 1), mde.validation_curve_, color=colour, label="each epoch"
    )
    axes["valid"].axvline(
        mde.best_iter_, color="#D55E00", linestyle="--", label=f"kept: epoch {mde.best_iter_}"
    )
    axes["valid"].set_ylabel(f"validation {mde.eval_metric}")
    axes["valid"].set_xlabel("epoch")
    axes["valid"].legend(frameon=False)
    for each in axes.values():
        each.spines[["top", "right"]].set_visible(False)
    fig.savefig(path, dpi=150)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0, help="of data, split and models")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).resolve().parent / "output" / "quickstart.png",
        help="where the picture goes (default: %(default)s)",
    )
    args = parser.parse_args()
    began = time.perf_counter()

    data = make_multimodal(random_state=args.seed)
    X = data.interactions
    train, test = next(RandomHoldout(test_size=0.2, random_state=args.seed).split(X))
    train, test = X[train], X[test]
    shapes = ", ".join(f"{name} {f.shape}" for name, f in data.item_features.items())
    print(
        f"Data: {X.n_users} users, {X.n_items} items, {len(train)} interactions to learn from "
        f"and {len(test)} held out; features {shapes}."
    )

    models = {
        "Popularity": Popularity().fit(train),
        "ALS (implicit)": tune_als(train, args.seed),
    }
    mde = MDERecommender(early_stopping=True, random_state=args.seed)
    models["MDE (recsk)"] = mde.fit(train, item_features=data.item_features)
    print(
        f"MDERecommender: no tuning, stopped after {mde.n_iter_} epochs and kept "
        f"number {mde.best_iter_}.\n"
    )

    print("Recommendations, best first:")
    print_recommendations(mde, train, data, users=[0, 1, 2])

    results = {
        name: evaluate(model, test, metrics=METRICS, k=CUTOFFS) for name, model in models.items()
    }
    print("\nHeld-out interactions (mean over users, higher is better):")
    print_table(results)

    args.output.parent.mkdir(parents=True, exist_ok=True)
    draw(results, mde, args.output)
    print(f"\nPicture: {args.output}")
    print(f"Took {time.perf_counter() - began:.0f} s.")


if __name__ == "__main__":
    main()
