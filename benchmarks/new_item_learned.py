"""Could a learned rule find better places for new items than one scale? Lines and a JSON file.

    python benchmarks/new_item_learned.py --dataset citeulike --threads 1

As `new_item_places.py`, but the places come from what boosted trees predict: how much each of a
user's 20 best known and 40 best new items adds to the recall of its kind. They are fitted on the
validation part of two seeds, where other items are the new ones, and measured on the test part.
New items that both have in common are left out of what is learned from: their users would be known.
They know of each candidate its score and both parts of it, its rank and distance to other scores,
its similarity in content to the history and to the items that predict it, the popularity of these
(of a known item its own), and of each user the length of the history and the level and spread of
the scores.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import environment
import numpy as np
import torch
from new_item_places import LOSSES, SCALES, with_new_items
from new_items import K, split
from sklearn.ensemble import HistGradientBoostingRegressor

from recsk.features.content import content_vectors
from recsk.ranking.users import combine_scores

N_NEW = 40  # candidates
N_SIMILAR = 20  # items that tell how well a new one is known
N_AT_ONCE = 500
FACTORS = np.geomspace(0.05, 5, 200)
Floats = np.ndarray


class Candidates(NamedTuple):
    """The best items of one kind of each user: quantities (n, m, q), and what each adds (n, m)."""

    known: Floats
    new: Floats
    added_by_known: Floats
    added_by_new: Floats
    asked: Floats  # (n, 2): whether a user has anything to find of each kind
    ids: Floats  # (n, m): the new ones, as the file numbers items
    new_items: Floats  # all of them


def candidates(name: str, part: str, seed: int) -> Candidates:
    """Fit a model, add the new items, and describe the best ones of each user."""
    data = split(name, part, seed)
    n_known, model = data.train.shape[1], with_new_items(data, seed)
    content = content_vectors(data.features).astype(np.float32)
    count = np.log1p(np.asarray(data.train.sum(axis=0)).ravel())
    similar = content[n_known:] @ content[:n_known].T
    near = np.argpartition(-similar, N_SIMILAR, axis=1)[:, :N_SIMILAR]
    near_cosine = np.take_along_axis(similar, near, axis=1).mean(axis=1)
    certain = np.append(np.ones(n_known), near_cosine)
    popular = np.append(count, count[near].mean(axis=1))
    found: list[tuple[Any, ...]] = []
    for start in range(0, len(data.users), N_AT_ONCE):
        ids = data.users[start : start + N_AT_ONCE]
        users = model._stored_users(ids)
        scores = combine_scores(users, model.item_embedding_, model.item_to_item_)
        parts = users.vectors @ model.item_embedding_.T
        seen = model.interactions_[ids].toarray() > 0
        scores[seen] = -np.inf
        relevant = data.relevant[ids].toarray() > 0
        for row in range(len(ids)):
            history = content[np.flatnonzero(seen[row])]
            kinds = []
            for first, stop, n in ((0, n_known, K), (n_known, scores.shape[1], N_NEW)):
                best = first + np.argsort(-scores[row, first:stop], kind="stable")[:n]
                total = relevant[row, first:stop].sum()
                kinds.append((best, relevant[row, best] / max(total, 1), total > 0))
            (old, new), added, asked = zip(*kinds, strict=True)
            s = scores[row]
            user = [
                len(history),
                s[old].mean(),
                s[old].std(),
                s[new].mean(),
                s[new].std(),
                s[new[0]],
            ]
            described = []
            for best in (old, new):
                cosine = np.sort(content[best] @ history.T, axis=1)[:, ::-1]
                columns = [s[best], parts[row, best], s[best] - parts[row, best]]
                columns += [s[best] - s[old[-1]], s[best] - s[old[0]], s[best] - s[new[0]]]
                columns += [np.arange(len(best)), cosine[:, 0], cosine[:, :5].mean(axis=1)]
                columns += [cosine.mean(axis=1), certain[best], popular[best]]
                columns += [np.full(len(best), value) for value in user]
                described.append(np.column_stack(columns))
            found.append((*described, *added, asked, data.order[new]))
    arrays = map(np.array, zip(*found, strict=True))
    return Candidates(*arrays, new_items=data.order[data.new])


def fit(parts: list[tuple[Floats, Floats]]) -> HistGradientBoostingRegressor:
    """Learn what candidates of one kind, (n, q) and (n,), add."""
    inputs, added = (np.concatenate(x) for x in zip(*parts, strict=True))
    trees = HistGradientBoostingRegressor(
        max_iter=300, learning_rate=0.05, min_samples_leaf=200, random_state=0
    )
    return trees.fit(inputs, added)


def at_losses(of: Candidates, known: Floats, new: Floats, factors: Floats) -> list[float]:
    """Recall of new items by the loss of known ones, if values of new ones are multiplied."""
    asked_known, asked_new = of.asked.T.astype(bool)
    whole = of.added_by_known[asked_known].sum(axis=1).mean()
    added = np.hstack([of.added_by_known, of.added_by_new])
    is_new = np.arange(added.shape[1]) >= K
    points = []
    for factor in factors:
        best = np.argsort(-np.hstack([known, factor * new]), axis=1, kind="stable")[:, :K]
        gained = np.take_along_axis(added, best, axis=1)
        lost = 1 - (gained * ~is_new[best])[asked_known].sum(axis=1).mean() / whole
        points.append((lost, (gained * is_new[best])[asked_new].sum(axis=1).mean()))
    return np.interp(LOSSES, *np.transpose(sorted(points))).tolist()


def among_new(of: Candidates, new: Floats) -> float:
    """Recall of new items among new ones."""
    best = np.argsort(-new, axis=1, kind="stable")[:, :K]
    gained = np.take_along_axis(of.added_by_new, best, axis=1).sum(axis=1)
    return float(gained[of.asked[:, 1] > 0].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="citeulike")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--json", type=Path, default=Path(__file__).parent / "results/new_item_learned.json"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    learned_from = [candidates(args.dataset, "valid", seed) for seed in range(args.seeds)]
    # Without new items of its own in the file, a seed of its own has others.
    test = candidates(args.dataset, "test", args.seeds)
    known = fit(
        [(c.known.reshape(-1, c.known.shape[-1]), c.added_by_known.ravel()) for c in learned_from]
    )
    others = [~np.isin(c.ids, test.new_items) for c in learned_from]
    new = fit([(c.new[o], c.added_by_new[o]) for c, o in zip(learned_from, others, strict=True)])

    def predicted(trees: HistGradientBoostingRegressor, inputs: Floats) -> Floats:
        return trees.predict(inputs.reshape(-1, inputs.shape[-1])).reshape(inputs.shape[:2])

    values = {
        "scores": (test.known[..., 0], test.new[..., 0], SCALES),
        "learned": (predicted(known, test.known), predicted(new, test.new), FACTORS),
    }
    found = {}
    print(f"{args.dataset}, test: recall@{K} of new items, if known ones lose at most")
    print(f"{'':<10}" + "".join(f"{f'{100 * x:.0f} %':>9}" for x in LOSSES) + f"{'among new':>12}")
    for way, (old, young, factors) in values.items():
        row = at_losses(test, old, young, factors)
        found[way] = {"at a loss": row, "new among new": among_new(test, young)}
        print(
            f"{way:<10}" + "".join(f"{x:>9.4f}" for x in row) + f"{among_new(test, young):>12.4f}"
        )
    about = {"dataset": args.dataset, "seeds": args.seeds, "environment": environment.describe()}
    environment.write(about | {"losses": LOSSES, "figures": found}, args.json)


if __name__ == "__main__":
    main()
