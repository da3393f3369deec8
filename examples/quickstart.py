"""Recommend with pictures and texts, and see what they are worth.

Makes a small world whose users choose by what an item's picture ("v") and text
("t") show, fits MDERecommender, and compares it with three rules: popular items,
items like those of the history (content kNN), and a tuned ALS from implicit, which
sees clicks only. Runs offline, in under two minutes on two CPU cores:

    python examples/quickstart.py
"""

import argparse
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.model_selection import GridSearchCV

from recsk import MDERecommender
from recsk.baselines import ALSRecommender, ContentKNNRecommender, PopularRecommender
from recsk.datasets import make_multimodal
from recsk.metrics import compare
from recsk.model_selection import RandomHoldout, make_ranking_scorer

METRICS = ("recall", "ndcg", "precision", "map")
CUTOFFS = (10, 20)
COLOURS = {"Popular": "#999999", "ContentKNN": "#009E73", "ALS": "#E69F00", "MDE": "#0072B2"}
# Wide enough that the best setting is at no edge. With that much regularization more factors give
# no better lists.
FACTORS = 256
GRID = {
    "alpha": [40.0, 80.0, 160.0, 320.0, 640.0],
    "regularization": [100.0, 200.0, 400.0, 800.0, 1600.0],
}


def tune_als(train, seed):
    """Give ALS its chance: the best of a grid on a part of the training data."""
    search = GridSearchCV(
        ALSRecommender(factors=FACTORS, random_state=seed),
        GRID,
        scoring=make_ranking_scorer("ndcg", k=20),
        cv=RandomHoldout(test_size=0.2, random_state=seed),
    )
    search.fit(train)
    best = search.best_params_
    edges = [name for name, value in best.items() if value in (GRID[name][0], GRID[name][-1])]
    print(
        f"ALS: alpha {best['alpha']:g} and regularization {best['regularization']:g} are the best "
        f"of {len(search.cv_results_['params'])} settings on a part of the training data; at an "
        f"edge of the grid: {', '.join(edges) or 'none'}."
    )
    return search.best_estimator_


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


def print_table(comparison):
    columns = [f"{metric}@{k}" for k in CUTOFFS for metric in METRICS]
    print("  " + "model".ljust(12) + "".join(column.rjust(14) for column in columns))
    for name in comparison.models:
        figures = means(comparison, name)
        print("  " + name.ljust(12) + "".join(f"{figures[c]:14.4f}" for c in columns))
    print(f"\nDifferences from {comparison.baseline} (paired by user, p with Holm's correction):")
    for row in comparison.rows:
        if row.k == max(CUTOFFS) and row.metric in ("recall", "ndcg") and not np.isnan(row.p):
            print(
                f"  {row.model.ljust(12)}{f'{row.metric}@{row.k}'.ljust(11)}{row.difference:+.4f} "
                f"[{row.low:+.4f}, {row.high:+.4f}]  p {row.p_holm:.4f}"
            )


def means(comparison, name):
    return {f"{row.metric}@{row.k}": row.mean for row in comparison.rows if row.model == name}


def draw(comparison, mde, path):
    fig = Figure(figsize=(11, 4.6), layout="constrained")
    axes = fig.subplot_mosaic([["bars", "loss"], ["bars", "valid"]], width_ratios=(3, 2))

    bars = axes["bars"]
    shown = [(metric, k) for metric in ("recall", "ndcg") for k in CUTOFFS]
    names = comparison.models
    width = 0.8 / len(names)
    for place, name in enumerate(names):
        x = np.arange(len(shown)) + (place - (len(names) - 1) / 2) * width
        rows = {(row.metric, row.k): row for row in comparison.rows if row.model == name}
        drawn = bars.bar(
            x,
            [rows[column].mean for column in shown],
            width,
            yerr=[rows[column].standard_error for column in shown],
            label=name,
            color=COLOURS[name],
        )
        bars.bar_label(drawn, fmt="%.2f", fontsize=8, padding=2)
    bars.set_xticks(np.arange(len(shown)), [f"{metric}@{k}" for metric, k in shown])
    bars.set_ylabel("mean over users, with its standard error")
    bars.set_title("Held-out interactions found (higher is better)")
    bars.legend(frameon=False)

    colour = COLOURS["MDE"]
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
        "Popular": PopularRecommender().fit(train),
        "ContentKNN": ContentKNNRecommender().fit(train, item_features=data.item_features),
        "ALS": tune_als(train, args.seed),
    }
    # Four interactions an item: what content shows must count more than what ids remember.
    mde = MDERecommender(reg_lambda=1.0, early_stopping=True, random_state=args.seed)
    models["MDE"] = mde.fit(train, item_features=data.item_features)
    print(
        f"MDERecommender: reg_lambda=1, for few interactions an item; {mde.n_iter_} epochs, the "
        f"best of which is number {mde.best_iter_}.\n"
    )

    print("Recommendations, best first:")
    print_recommendations(mde, train, data, users=[0, 1, 2])

    comparison = compare(models, test, METRICS, CUTOFFS, baseline="MDE", random_state=args.seed)
    print("\nHeld-out interactions (mean over users, higher is better):")
    print_table(comparison)

    args.output.parent.mkdir(parents=True, exist_ok=True)
    draw(comparison, mde, args.output)
    print(f"\nPicture: {args.output}")
    print(f"Took {time.perf_counter() - began:.0f} s.")


if __name__ == "__main__":
    main()
