"""A month of data that grow: `partial_fit` each night beside a new fit, a table and a JSON file.

    python benchmarks/growing.py --data scientific synthetic --seeds 0 1 2 --figure month.png

A model is fitted on what is known at the start. Each night of 30 it gets the interactions of the
day by `partial_fit`, and another model is fitted anew on all interactions so far. Both are asked
for the interactions of the next day: those of users with a history, with items that are not in it.
Figures are means over the days of all seeds; seconds are CPU time. `left alone` is the first
model: it folds in users by their histories and knows no later item.

`synthetic` is a shop whose users change their tastes a little every day, with new items and users
every day. `scientific` has no times, only the place of an interaction in its user's history: users
start at random, and their histories pass at the same speed.
"""

from __future__ import annotations

import argparse
import copy
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import environment
import numpy as np
import realdata
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import Bunch

from recsk import Interactions, MDERecommender, MDSRecRecommender
from recsk.metrics import ndcg_at_k, recall_at_k

HERE = Path(__file__).parent
K, N_DAYS = 20, 30
PARTIAL, ANEW, ALONE = "partial_fit", "new fit", "left alone"
FIRST = 0.6  # share of the interactions before the first night


MODELS = {"mde": MDERecommender, "mdsrec": MDSRecRecommender}


def synthetic(seed: int, n_users: int = 2000, n_items: int = 1200, n: int = 60_000) -> Bunch:
    """A shop with drift: tastes walk at random, and a third of users and items arrive later."""
    rng = np.random.default_rng(seed)
    n_topics, scale = 16, 1.2
    items = rng.normal(size=(n_items, n_topics))
    users = scale * rng.normal(size=(n_users, n_topics)) / 2
    appeal = rng.normal(size=n_items)
    born = np.where(rng.random(n_items) < 0.3, rng.random(n_items), 0.0)
    joined = np.where(rng.random(n_users) < 0.3, rng.random(n_users), 0.0)
    activity = rng.pareto(2, n_users) + 0.3
    seen = np.zeros((n_users, n_items), dtype=bool)
    n_steps = 100
    columns: list[tuple[Any, Any, Any]] = []
    for step in range(n_steps):
        now = step / n_steps
        users += 0.12 * scale * rng.normal(size=users.shape) / 2
        appeal += 0.1 * rng.normal(size=n_items)
        weight = activity * (joined <= now)
        who = rng.choice(n_users, n // n_steps, p=weight / weight.sum())
        who, counts = np.unique(who, return_counts=True)
        logits = users[who] @ items.T + 0.5 * appeal + rng.gumbel(size=(len(who), n_items))
        logits[:, born > now] = -np.inf
        logits[seen[who]] = -np.inf
        for user, count, row in zip(who, counts, logits, strict=True):
            chosen = np.argpartition(-row, count)[:count]
            seen[user, chosen] = True
            columns.append((np.full(count, user), chosen, np.full(count, now)))
    user, item, when = map(np.concatenate, zip(*columns, strict=True))
    when = when + rng.random(len(when)) / n_steps
    features = {
        name: (
            items @ rng.normal(size=(n_topics, width)) + noise * rng.normal(size=(n_items, width))
        )
        for name, width, noise in (("v", 64, 4.0), ("t", 32, 4.0))
    }
    return in_days(user, item, when, {m: x.astype(np.float32) for m, x in features.items()})


def scientific(seed: int) -> Bunch:
    """Histories of `scientific` from random starts, each at the same speed."""
    arrays = realdata._arrays("scientific")
    user, item, place = arrays["user"], arrays["item"], arrays["timestamp"]
    rng = np.random.default_rng(seed)
    length = np.bincount(user)
    when = (place + rng.random(len(length))[user]) / (length.max() + 1)
    when = when + rng.random(len(length))[user]
    features = {m: arrays[m].astype(np.float32) for m in ("t", "d")}
    return in_days(user, item, when, features)


DATA = {"synthetic": synthetic, "scientific": scientific}


def in_days(user: Any, item: Any, when: Any, features: dict[str, Any]) -> Bunch:
    """Number users and items by their first interaction, and cut the time into days.

    `days` has interactions of day 0, which is all before the first night, and of 31 days.
    """
    order = np.argsort(when, kind="stable")
    user, item = user[order], item[order]
    ids = []
    for column in (user, item):
        _, first, code = np.unique(column, return_index=True, return_inverse=True)
        ids.append(np.argsort(np.argsort(first))[code])
    known = item[np.sort(np.unique(item, return_index=True)[1])]
    features = {name: values[known] for name, values in features.items()}
    start = int(FIRST * len(user))
    cuts = np.linspace(start, len(user), N_DAYS + 2).astype(int)
    day = np.searchsorted(cuts, np.arange(len(user)), side="right")
    return Bunch(user=ids[0], item=ids[1], day=day, features=features)


def known_at(data: Bunch, day: int) -> Bunch:
    """All until the end of a day, and the catalogue of the next one."""
    known, new = data.day <= day, data.day == day
    n_users = int(data.user[known].max()) + 1
    n_items = int(data.item[data.day <= day + 1].max()) + 1
    time = np.arange(len(data.user))

    def interactions(rows: Any) -> Interactions:
        columns = data.user[rows], data.item[rows]
        return Interactions(*columns, timestamp=time[rows], n_users=n_users, n_items=n_items)

    later = (data.day == day + 1) & (data.user < n_users)
    pairs = sp.csr_matrix(
        (np.ones(later.sum()), (data.user[later], data.item[later])), shape=(n_users, n_items)
    )
    union = interactions(known)
    return Bunch(
        union=union,
        new=interactions(new),
        features={name: values[:n_items] for name, values in data.features.items()},
        relevant=sp.csr_matrix(pairs - pairs.multiply(union.to_csr()) > 0),
    )


def quality(lists: np.ndarray, relevant: sp.csr_matrix) -> dict[str, float]:
    """Recall and NDCG of the next day."""
    return {
        "recall": float(np.mean(recall_at_k(lists, relevant, K))),
        "ndcg": float(np.mean(ndcg_at_k(lists, relevant, K))),
    }


def seconds(call: Callable[[], Any]) -> tuple[Any, float]:
    """What a call returns, and its CPU time."""
    start = time.process_time()
    found = call()
    return found, time.process_time() - start


def month(data: Bunch, new: Callable[[], Any], days: range) -> Iterator[dict[str, Any]]:
    """One row for each night: quality on the next day and seconds of both ways."""
    now = known_at(data, 0)
    first, n_first = new().fit(now.union, item_features=now.features), now.union.n_items
    model = copy.deepcopy(first)
    for day in range(1, days.stop):
        now = known_at(data, day)
        _, spent = seconds(partial(model.partial_fit, now.new, item_features=now.features))
        row: dict[str, Any] = {"day": day, "n_new": len(now.new), "seconds": {PARTIAL: spent}}
        if day in days:
            other, row["seconds"][ANEW] = seconds(
                partial(new().fit, now.union, item_features=now.features)
            )
            users = np.flatnonzero(np.diff(now.relevant.indptr))
            lists = {
                PARTIAL: model.recommend(users, k=K)[0],
                ANEW: other.recommend(users, k=K)[0],
                ALONE: _fold_in(first, now, n_first, users),
            }
            row |= {way: quality(found, now.relevant[users]) for way, found in lists.items()}
        yield row


def _fold_in(model: Any, now: Bunch, n_items: int, users: Any) -> Any:
    """Lists of a model that knows the first items alone."""
    seen = now.union
    kept = (seen.item < n_items) & np.isin(seen.user, users)
    place = np.full(seen.n_users, -1)
    place[users] = np.arange(len(users))
    histories = Interactions(
        place[seen.user[kept]],
        seen.item[kept],
        timestamp=seen.timestamp[kept],
        n_users=len(users),
        n_items=n_items,
    )
    return model.recommend(user_items=histories, k=K)[0]


def summarize(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Means over the days that have a new fit."""
    both = [row for row in rows if ANEW in row]
    found: dict[str, dict[str, float]] = {}
    for way in (ANEW, PARTIAL, ALONE):
        found[way] = {m: float(np.mean([r[way][m] for r in both])) for m in ("recall", "ndcg")}
        spent = [row["seconds"].get(way, 0.0) for row in both]
        found[way]["seconds"] = float(np.mean(spent))
    return found


def compare(rows: list[dict[str, Any]]) -> str:
    """Say how far `partial_fit` is from a new fit, with standard errors over months.

    All nights of a month go on from the same first fit, and with one month the errors are those
    over its nights.
    """
    both = [row for row in rows if ANEW in row]
    words = []
    for metric in ("recall", "ndcg"):
        change = np.array([100 * (row[PARTIAL][metric] - row[ANEW][metric]) for row in both])
        level = np.mean([row[ANEW][metric] for row in both])
        seed = np.array([row.get("seed", 0) for row in both])
        months = [change[seed == s].mean() for s in np.unique(seed)]
        parts = months if len(months) > 1 else change
        error = np.std(parts, ddof=1) / np.sqrt(len(parts)) if len(parts) > 1 else np.nan
        words.append(f"{metric} {np.mean(change) / level:+.1f} % (s.e. {error / level:.1f})")
    spent = [np.mean([row["seconds"][way] for row in both]) for way in (PARTIAL, ANEW)]
    return f"{', '.join(words)}, time {100 * spent[0] / spent[1]:.1f} %"


def mean_by_day(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Average the days of several months."""
    days = sorted({row["day"] for row in rows if ANEW in row})
    found = []
    for day in days:
        same = [row for row in rows if row["day"] == day]
        found.append(
            {"day": day}
            | {
                way: {"recall": np.mean([row[way]["recall"] for row in same])}
                for way in (ANEW, PARTIAL, ALONE)
            }
        )
    return found


def draw(months: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Draw recall by day for each month, as a mean over five days."""
    import matplotlib.pyplot as plt

    size = 4 * len(months), 3
    _, axes = plt.subplots(1, len(months), figsize=size, squeeze=False, layout="constrained")
    for ax, (name, rows) in zip(axes[0], months.items(), strict=True):
        both = mean_by_day(rows)
        for way in (ANEW, PARTIAL, ALONE):
            recall = np.array([row[way]["recall"] for row in both])
            near = [recall[max(i - 2, 0) : i + 3].mean() for i in range(len(recall))]
            ax.plot([row["day"] for row in both], near, label=way)
        ax.set(title=name, xlabel="day")
    axes[0, 0].set_ylabel(f"recall@{K} of the next day")
    axes[0, 0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    plt.savefig(path, bbox_inches="tight")


def main() -> None:
    """Print a table and write all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--model", nargs="+", choices=list(MODELS), default=["mde"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--every", type=int, default=1, help="days from one new fit to the next")
    parser.add_argument("--figure", type=Path, help="file for the curves")
    parser.add_argument("--json", type=Path, default=HERE / "results/growing.json")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    months: dict[str, list[dict[str, Any]]] = {}
    report: dict[str, Any] = {}
    print(
        f"| data | model | way | recall@{K} | ndcg@{K} | CPU seconds |\n|---|---|---|---|---|---|"
    )
    days = range(args.every, N_DAYS + 1, args.every)
    for name in args.data:
        for model in args.model:
            rows = []
            for seed in args.seeds:
                new = partial(MODELS[model], random_state=seed, device="cpu")
                rows += [row | {"seed": seed} for row in month(DATA[name](seed), new, days)]
            months[f"{name}, {model}"] = rows
            means = summarize(rows)
            report[f"{name}, {model}"] = {"mean": means, "change": compare(rows), "days": rows}
            for way, mean in means.items():
                cells = " | ".join(f"{mean[m]:.4f}" for m in ("recall", "ndcg"))
                print(f"| {name} | {model} | {way} | {cells} | {mean['seconds']:.2f} |", flush=True)
    for name, rows in months.items():
        print(f"{name}: {PARTIAL} beside {ANEW}: {compare(rows)}")
        for seed in args.seeds if len(args.seeds) > 1 else ():
            print(f"    seed {seed}: {compare([row for row in rows if row['seed'] == seed])}")
    if args.figure:
        draw(months, args.figure)
    options = {k: v for k, v in vars(args).items() if not isinstance(v, Path)}
    environment.write({**environment.describe(), "options": options, "figures": report}, args.json)


if __name__ == "__main__":
    main()
