"""Recommend with pictures and texts, and measure what they are worth.

Makes a small synthetic shop, whose users choose by what a product's picture and text
show. Fits MDERecommender and compares it with three baselines: popular items, content
kNN, and a tuned ALS from implicit, which sees clicks only. Runs offline, in about half
a minute on one CPU core:

    python examples/quickstart.py

It ends with a picture, and a page in HTML that shows recommendations and why.
"""

import argparse
import textwrap
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.model_selection import GridSearchCV
from tqdm import tqdm

from recsk import MDERecommender
from recsk.baselines import ALSRecommender, ContentKNNRecommender, PopularRecommender
from recsk.datasets import make_multimodal
from recsk.metrics import compare
from recsk.model_selection import RandomHoldout, make_ranking_scorer
from recsk.plotting import RecommendationReport

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
# What a picture shows most (one word for each hidden factor), and what a text is about.
LOOKS = (
    "amber black blue brass checked coral dotted floral gold green grey ivory linen red striped "
    "white"
).split()
THINGS = (
    "armchair basket blanket bookcase bowl candle clock cushion desk frame jug lamp mirror rug "
    "stool vase"
).split()
FIRST = (
    "Ada Alma Amir Ana Ben Bo Carla Chen Dan Dora Eli Emma Eva Finn Gita Hugo Ida Irma Ivan Jana "
    "Jo Juan Kai Kofi Lars Lea Leo Lin Luca Maya Mia Milo Nadia Nils Noa Nora Olga Omar Otto Paul "
    "Pia Rosa Sam Sara Tim Uma Vera Yan Zara Zoe"
).split()
LAST = (
    "Abe Adler Bauer Berg Blum Cruz Dahl Diaz Falk Ford Gray Haas Hahn Ito Jung Kaya Kim Klein "
    "Koch Lang Lee Lopez Lund Marx Mori Novak Okoye Park Patel Rossi Roy Sato Silva Singh Stein "
    "Tran Vidal Wang Wolf Wu"
).split()


def make_shop(seed):
    """Interactions of named users with named products, and the products' features."""
    data = make_multimodal(modalities=("picture", "text"), random_state=seed)
    look, thing = (data.item_factors[name].argmax(axis=1) for name in data.modality_names)
    products = [
        f"{LOOKS[a]} {THINGS[b]} {number}"
        for number, (a, b) in enumerate(zip(look, thing, strict=True))
    ]
    users = [f"{first} {last}" for first in FIRST for last in LAST]
    return data.interactions.with_labels(users, products), data.item_features


def tune_als(train, seed):
    """The best ALS of a grid, by a part of the training data."""
    ndcg = make_ranking_scorer("ndcg", k=20)
    n_settings = len(GRID["alpha"]) * len(GRID["regularization"])
    with tqdm(total=n_settings, desc="Tuning ALS", unit="fit") as bar:

        def scoring(model, held_out):
            bar.update()
            return ndcg(model, held_out)

        search = GridSearchCV(
            ALSRecommender(factors=FACTORS, random_state=seed),
            GRID,
            scoring=scoring,
            cv=RandomHoldout(test_size=0.2, random_state=seed),
        )
        search.fit(train)
    best = search.best_params_
    edges = [name for name, value in best.items() if value in (GRID[name][0], GRID[name][-1])]
    print(
        f"Best ALS of {n_settings}: alpha {best['alpha']:g}, regularization "
        f"{best['regularization']:g}; at an edge of the grid: {', '.join(edges) or 'none'}."
    )
    return search.best_estimator_


def print_recommendations(model, histories, k=5):
    clicked = set(model.items_[np.unique(model.interactions_.indices)])
    ids, scores = model.recommend(list(histories), k=k)
    for row, (user, history) in enumerate(histories.items()):
        print()
        print(textwrap.fill(f"{user} has seen: {', '.join(history)}.", 100))
        for product, score in zip(ids[row], scores[row], strict=True):
            new = "" if product in clicked else "  (new: no clicks yet)"
            print(f"  {score:.2f}  {product}{new}")


def print_why(model, user, product):
    """The parts of a score, and what it loses without each item of the history."""
    why = model.explain([user], [product])
    parts = {name: float(part[0, 0]) for name, part in why.parts.items()}
    print(f"\nWhy {product} for {user}: score {why.scores[0, 0]:.2f} =")
    print("  " + " + ".join(f"{part:.2f} {name}" for name, part in parts.items() if part))
    print("  What the score would lose without an item of the history:")
    effects = why.effects[0][:, 0]
    for place in np.argsort(-effects)[:3]:
        print(f"  {effects[place]:.2f}  {why.history[0][place]}")


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

    X, features = make_shop(args.seed)
    train, test = next(RandomHoldout(test_size=0.2, random_state=args.seed).split(X))
    train, test = X[train], X[test]
    print(
        f"A synthetic shop: {X.n_users} users, {X.n_items} products, {len(train)} interactions to "
        f"learn from, {len(test)} held out; features: {', '.join(features)}."
    )

    models = {
        "Popular": PopularRecommender().fit(train),
        "ContentKNN": ContentKNNRecommender().fit(train, item_features=features),
        "ALS": tune_als(train, args.seed),
    }
    # Products have four interactions each, so that content must count more than ids: reg_lambda.
    mde = MDERecommender(reg_lambda=1.0, early_stopping=True, random_state=args.seed, verbose=True)
    models["MDE"] = mde.fit(train, item_features=features)
    print(f"MDERecommender: {mde.n_iter_} epochs, best epoch {mde.best_iter_}.")

    by_user = train.sequences()
    histories = {X.user_labels[user]: X.item_labels[by_user[user]].tolist() for user in (1500, 41)}
    print_recommendations(mde, histories)
    user = next(iter(histories))
    print_why(mde, user, mde.recommend(user, k=1)[0][0])

    comparison = compare(models, test, METRICS, CUTOFFS, baseline="MDE", random_state=args.seed)
    print("\nHeld-out interactions (mean over users, higher is better):")
    print_table(comparison)

    args.output.parent.mkdir(parents=True, exist_ok=True)
    draw(comparison, mde, args.output)
    page = args.output.with_suffix(".html")
    RecommendationReport.from_estimator(mde, list(histories), k=8).save(page)
    print(f"\nPicture: {args.output}")
    print(f"A page to look at: {page}")
    print(f"Took {time.perf_counter() - began:.0f} s.")


if __name__ == "__main__":
    main()
