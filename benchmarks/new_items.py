"""How well new items are found beside known ones: tables on stdout and a JSON file.

    python benchmarks/new_items.py --dataset citeulike tiktok ml100k scientific --part test
    python benchmarks/new_items.py --dataset scientific sports --sequences --part test
    python benchmarks/new_items.py --dataset citeulike --first-interactions --json first.json

A tenth of the items (`new_item` of the file, or a random tenth for each seed) is taken out of
training whole and arrives after the fit: `add_items` places it by its content. All interactions of
users with a history are then searched for, those with new items and the held-out ones with known
items. Columns are means over seeds of recall@20: new items among all and among new ones, known
items among all and without new ones in the catalogue, and both together; then the share of new
items in the lists. The second figure in a cell is the standard deviation.

With `--sequences`, models are fitted on ordered histories without their last interaction, and the
last one is searched for; for `--part valid`, the one before it.

`share` is `new_item_share`. Rivals: the items most similar to the history
(`ContentKNNRecommender`), a ridge regression of ALS factors on content, DropoutNet and CLCRec
(`cold_start.py`). `--figure` draws new among all against known among all
(`recsk.plotting.NewItemDisplay`).

With `--first-interactions`, a tenth of the items keep 0, 1, 2, 5, 10 or all of their interactions.
They arrive after the fit, by `add_items` and then `partial_fit`, or they are in the fit, without a
word or as its `new_items`. The table has the recall of a fifth of the interactions of each item,
which are never in training: those with the tenth, and those with the other items.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import environment
import numpy as np
import realdata
import scipy.sparse as sp
import torch
from cold_start import clcrec, dropoutnet
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.utils import Bunch

from recsk import Interactions, MDERecommender, MDSRecRecommender
from recsk.baselines import ALSRecommender, ContentKNNRecommender
from recsk.features.content import content_vectors
from recsk.metrics import recall_at_k
from recsk.model_selection import LeaveLastOut
from recsk.ranking import top_k

K = 20
HERE = Path(__file__).parent
N_KEPT = (0, 1, 2, 5, 10, None)  # interactions; None: all
COLUMNS = ("new among all", "new among new", "known among all", "known alone", "together", "share")
CURVES = ("added", "of others", "in the fit", "of others then", "told of", "of others told")
Features = dict[str, np.ndarray]
Lists = Callable[[np.ndarray, dict[str, Any]], np.ndarray]  # of users, with options of `top_k`


def split(name: str, part: str, seed: int) -> Bunch:
    """Known items first, new ones last; training has the known ones alone."""
    data = realdata.load(name)
    n_items = data.train.shape[1]
    rng = np.random.RandomState(seed)
    is_new = np.isin(np.arange(n_items), rng.permutation(n_items)[: n_items // 10])
    given = realdata._arrays(name).get("new_item")
    if given is not None and part == "test":
        is_new = given if given.dtype == bool else np.isin(np.arange(n_items), given)
    order = np.argsort(is_new, kind="stable")
    n_known = int((~is_new).sum())
    train, held_out = data.train[:, order], data[part][:, order]
    known = sp.csr_matrix(train[:, :n_known])
    with_history = np.diff(known.indptr) > 0
    relevant = sp.csr_matrix(
        sp.hstack([held_out[:, :n_known], (train + held_out)[:, n_known:]], format="csr") > 0
    )
    return Bunch(
        name=name,
        train=known,
        features={m: rows[order] for m, rows in data.features.items()},
        relevant=relevant,
        users=np.flatnonzero(with_history & (np.diff(relevant.indptr) > 0)),
        new=np.arange(n_known, n_items),
        order=order,
    )


def split_sequences(name: str, part: str, seed: int) -> Bunch:
    """The same of ordered histories, whose last interaction is searched for."""
    arrays = realdata._arrays(name)
    data = realdata.load_sequences(name)
    X, n_items = data.train, data.train.n_items
    relevant = data[part]
    if part == "test":
        when, n_users = arrays["timestamp"], X.n_users
        X = Interactions(
            arrays["user"], arrays["item"], timestamp=when, n_users=n_users, n_items=n_items
        )
        X = X[next(LeaveLastOut(repeats=True).split(X))[0]]
    is_new = np.isin(
        np.arange(n_items), np.random.RandomState(seed).permutation(n_items)[: n_items // 10]
    )
    order = np.argsort(is_new, kind="stable")
    n_known, place = int((~is_new).sum()), np.argsort(order)
    X = X[~is_new[X.item]]
    known = Interactions(
        X.user, place[X.item], timestamp=X.timestamp, n_users=X.n_users, n_items=n_known
    )
    relevant = sp.csr_matrix(relevant[:, order] > 0)
    with_history = np.diff(known.to_csr().indptr) > 0
    return Bunch(
        name=name,
        train=known.to_csr(),
        sequences=known,
        features={m: rows[order] for m, rows in data.features.items()},
        relevant=relevant,
        users=np.flatnonzero(with_history & (np.diff(relevant.indptr) > 0)),
        new=np.arange(n_known, n_items),
    )


def measure(data: Bunch, lists: Lists) -> dict[str, float]:
    """The columns of the table."""
    n_known = data.train.shape[1]
    known = np.arange(n_known)
    among_all = lists(data.users, {})
    among_new = lists(data.users, {"items": data.new})
    alone = lists(data.users, {"items": known})
    parts = {"new": data.relevant.copy(), "known": data.relevant.copy(), "all": data.relevant}
    is_new = data.relevant.indices >= n_known
    parts["new"].data = parts["new"].data & is_new
    parts["known"].data = parts["known"].data & ~is_new
    for part in parts.values():
        part.eliminate_zeros()

    def recall(ranked: np.ndarray, part: str) -> float:
        relevant = parts[part][data.users]
        some = np.diff(relevant.indptr) > 0
        return float(recall_at_k(ranked[some], relevant[some].astype(np.float32), K))

    return {
        "new among all": recall(among_all, "new"),
        "new among new": recall(among_new, "new"),
        "known among all": recall(among_all, "known"),
        "known alone": recall(alone, "known"),
        "together": recall(among_all, "all"),
        "share": float((among_all >= n_known).sum() / (among_all >= 0).sum()),
    }


def by_model(model: Any) -> Lists:
    """Lists of a recommender."""
    return lambda users, options: model.recommend(users, K, **options)[0]


def by_vectors(data: Bunch, users: np.ndarray, items: np.ndarray) -> Lists:
    """Lists of vectors alone."""
    seen = data.train.copy()
    seen.resize(data.relevant.shape)
    return lambda some, options: top_k(users[some], items, K, exclude=seen[some], **options)[0]


def rows(data: Bunch, shares: list[float], seed: int) -> Iterator[tuple[str, Lists]]:
    """Each line of the table: its name and its lists."""
    n_known = data.train.shape[1]
    everything = data.train.copy()
    everything.resize(data.relevant.shape)
    content = ContentKNNRecommender().fit(everything, item_features=data.features)
    yield "content kNN", by_model(content)
    known = {m: values[:n_known] for m, values in data.features.items()}
    later = {m: values[n_known:] for m, values in data.features.items()}
    later = _with_content(later, known)
    if "sequences" in data:
        sequential = MDSRecRecommender(random_state=seed)
        sequential.fit(data.sequences, item_features=known)
        yield from by_share("MDSRec", sequential, later, shares)
        return
    als = ALSRecommender(factors=64, alpha=10, regularization=0.1, random_state=seed)
    als.fit(data.train)
    vectors = content_vectors(data.features)
    ridge = Ridge(alpha=1.0).fit(vectors[:n_known], als.item_embedding_)
    items = np.vstack([als.item_embedding_, ridge.predict(vectors[n_known:])]).astype(np.float32)
    yield "ridge to ALS", by_vectors(data, als.user_embedding_, items)
    known_factors = als.user_embedding_, als.item_embedding_
    # Networks see the first components: all columns would take minutes.
    vectors = PCA(min(128, *vectors.shape), random_state=0).fit_transform(vectors)
    vectors *= len(vectors) ** 0.5 / np.linalg.norm(vectors)
    yield "DropoutNet", by_vectors(data, *dropoutnet(*known_factors, vectors, seed))
    yield "CLCRec", by_vectors(data, *clcrec(data.train, vectors, seed))
    model = MDERecommender(random_state=seed).fit(data.train, item_features=known)
    yield from by_share("MDE", model, later, shares)


def by_share(
    name: str, model: Any, later: Features, shares: list[float]
) -> Iterator[tuple[str, Lists]]:
    """Lists of a model whose new items are recommended more or less often."""
    for share in shares:
        grown = copy.copy(model).set_params(new_item_share=share)
        grown.add_items(later)
        yield f"{name}, share {share:g}", by_model(grown)


def _with_content(later: Features, known: Features) -> Features:
    """Items without any modality are not accepted: here they get the mean, which says nothing."""
    nothing = np.all([np.isnan(rows[:, 0]) for rows in later.values()], axis=0)
    means = {m: np.nanmean(rows, axis=0, dtype=np.float64) for m, rows in known.items()}
    return {
        m: np.where(nothing[:, None], means[m].astype(np.float32), rows)
        for m, rows in later.items()
    }


def first_interactions(name: str, seed: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Number kept; recall@20 of held-out interactions with these items, and with all others."""
    data = realdata.load(name)
    everything = sp.csr_matrix((data.train + data.valid + data.test) > 0, dtype=np.float32)
    rng = np.random.RandomState(seed)
    n_users, n_items = everything.shape
    user, item = everything.nonzero()
    order = rng.permutation(len(user))
    user, item = user[order], item[order]
    # The place of each interaction among those of its item, in random order.
    by_item = np.argsort(item, kind="stable")
    count = np.bincount(item, minlength=n_items)
    place = np.empty(len(item), dtype=np.int64)
    place[by_item] = np.arange(len(item)) - np.repeat(count.cumsum() - count, count)
    watched = rng.permutation(np.flatnonzero(count >= 15))
    is_watched = np.isin(np.arange(n_items), watched[: n_items // 10])
    held_out = place < 0.2 * count[item]
    left = place - np.ceil(0.2 * count[item])
    # Watched items are behind the others, because they arrive later.
    order = np.argsort(is_watched, kind="stable")
    arrives, item = is_watched[item], np.argsort(order)[item]
    n_known = int((~is_watched).sum())
    known = {m: rows[order][:n_known] for m, rows in data.features.items()}
    later = {m: rows[order][n_known:] for m, rows in data.features.items()}
    later = _with_content(later, known)
    features = {m: np.vstack([known[m], later[m]]) for m in known}

    def matrix(chosen: np.ndarray) -> sp.csr_matrix:
        ones = np.ones(chosen.sum(), np.float32)
        return sp.csr_matrix((ones, (user[chosen], item[chosen])), shape=(n_users, n_items))

    def measured(model: MDERecommender) -> Iterator[float]:
        lists, _ = model.recommend(k=K)
        with_history = np.diff(model.interactions_.indptr) > 0
        for part in (held_out & arrives, held_out & ~arrives):
            relevant = matrix(part)
            some = (np.diff(relevant.indptr) > 0) & with_history
            yield float(recall_at_k(lists[some], relevant[some], K))

    before = ~held_out & ~arrives
    first = MDERecommender(random_state=seed).fit(matrix(before)[:, :n_known], item_features=known)
    first.add_items(later)
    for kept in N_KEPT:
        clicks = ~held_out & arrives & (left < (np.inf if kept is None else kept))
        grown = copy.copy(first)
        if clicks.any():
            grown.partial_fit(matrix(clicks))
        fitted = MDERecommender(random_state=seed)
        fitted.fit(matrix(before | clicks), item_features=features)
        told = MDERecommender(random_state=seed)
        new = np.arange(n_known, n_items)
        told.fit(matrix(before | clicks), item_features=features, new_items=new)
        figures = [*measured(grown), *measured(fitted), *measured(told)]
        found = dict(zip(CURVES, figures, strict=True))
        yield "all" if kept is None else str(kept), found


def summarize(runs: list[dict[str, float]]) -> dict[str, float]:
    """Mean and standard deviation of each column over seeds."""
    values = {name: [run[name] for run in runs] for name in COLUMNS}
    mean = {name: float(np.mean(each)) for name, each in values.items()}
    return mean | {f"{name} std": float(np.std(each)) for name, each in values.items()}


def draw(found: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    """Draw a panel for each data set."""
    import matplotlib.pyplot as plt

    from recsk.plotting import NewItemDisplay

    _, axes = plt.subplots(1, len(found), figsize=(4 * len(found), 3.5), squeeze=False)
    for ax, (name, each) in zip(axes[0], found.items(), strict=True):
        shares = {row: figures for row, figures in each.items() if row.startswith("MD")}
        known, new = zip(
            *((x["known among all"], x["new among all"]) for x in shares.values()), strict=True
        )
        values = [float(row.rsplit(" ", 1)[1]) for row in shares]
        display = NewItemDisplay(values, known, new, f"recall@{K}")
        display.plot(ax=ax).ax_.set_title(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    plt.savefig(path, bbox_inches="tight")


def main() -> None:
    """Print a table for each data set and write all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", nargs="+", choices=realdata.NAMES, default=["citeulike"])
    parser.add_argument("--part", choices=("valid", "test"), default="valid")
    parser.add_argument("--shares", nargs="+", type=float, default=[0.5, 1.0, 1.5, 2.0, 3.0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--first-interactions", action="store_true")
    parser.add_argument("--sequences", action="store_true")
    parser.add_argument("--figure", type=Path, help="file for the curves")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path, default=HERE / "results/new_items.json")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    found: dict[str, Any] = {}
    for name in args.dataset:
        if args.first_interactions:
            print(f"\n{name}\n\n| interactions | " + " | ".join(CURVES) + " |")
            print("|---|" + "---|" * len(CURVES))
            for kept, figures in first_interactions(name, args.seeds[0]):
                found.setdefault(name, {})[kept] = figures
                cells = [f"{figures[curve]:.4f}" for curve in CURVES]
                print(f"| {kept} | " + " | ".join(cells) + " |", flush=True)
            continue
        runs: dict[str, list[dict[str, float]]] = {}
        for seed in args.seeds:
            data = (split_sequences if args.sequences else split)(name, args.part, seed)
            for row, lists in rows(data, args.shares, seed):
                runs.setdefault(row, []).append(measure(data, lists))
                figures = " ".join(f"{c} {runs[row][-1][c]:.4f}" for c in COLUMNS)
                print(f"{name}, seed {seed}, {row}: {figures}", file=sys.stderr, flush=True)
        print(f"\n{name}, {args.part}: {len(data.new)} new items, {len(data.users)} users\n")
        print(f"| recall@{K} | " + " | ".join(COLUMNS) + " |\n|---|" + "---|" * len(COLUMNS))
        for row, each in runs.items():
            found.setdefault(name, {})[row] = mean = summarize(each)
            cells = [f"{mean[column]:.4f} ± {mean[f'{column} std']:.4f}" for column in COLUMNS]
            print(f"| {row} | " + " | ".join(cells) + " |", flush=True)
    if args.figure:
        draw(found, args.figure)
    report = {
        "options": {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()},
        "figures": found,
    }
    environment.write({**environment.describe(), **report}, args.json)


if __name__ == "__main__":
    main()
