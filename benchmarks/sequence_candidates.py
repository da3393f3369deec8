"""Do content features of each candidate know what MDSRec does not? A table and a JSON file.

    python benchmarks/sequence_candidates.py --dataset scientific ml100k --threads 1

A fit with the defaults gives the 150 best candidates of every user of the validation part. Learned
functions rank them again: of the two parts of the score, and of cosines between the candidate and
the last 1, 3, 10 or 50 items, by modality, of features and of learned vectors. Each is a softmax
regression, with or without the logarithm of the length of the history as a factor, or boosted
trees. They are fitted on four fifths of the users and measured on the others: on answers of the
part that they are measured on, which no fit has. The test part is not read.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import by_user
import environment
import numpy as np
import realdata
import torch
from asked import Asked, K, gain_of_rank
from sklearn.ensemble import HistGradientBoostingClassifier
from torch.nn import functional

from recsk.ranking.vectors import unit_rows

N_CANDIDATES, N_FOLDS = 150, 5
SPANS, DECAY, POWER = (1, 3, 10, 50), 0.8, 4
PARTS = ["vectors", "relations"]


def cosines(name: str, unit: np.ndarray, histories: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Means and maxima of cosines with the last items, (n_users, n_items) each."""
    every = unit @ unit.T
    found: dict[str, np.ndarray] = {}
    for span in SPANS:
        recent = [every[history[::-1][:span]] for history in histories]
        found[f"{name}, max of {span}"] = np.stack([rows.max(axis=0) for rows in recent])
        weights = [DECAY ** np.arange(len(rows)) for rows in recent]
        means = [w @ rows / w.sum() for w, rows in zip(weights, recent, strict=True)]
        found[f"{name}, mean of {span}"] = np.stack(means)
        if span == 10:
            powers = [w @ rows.clip(0) ** POWER for w, rows in zip(weights, recent, strict=True)]
            found[f"{name}, powers of {span}"] = np.stack(powers)
    return found


def regress(X: np.ndarray, answer: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Weights of a softmax regression over the candidates of each user, near those of `start`."""
    rows, right = torch.as_tensor(X), torch.as_tensor(answer)
    first = torch.as_tensor(start)
    weights = first.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([weights], max_iter=60)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(rows @ weights, right)
        loss = loss + 1e-3 * (weights - first).square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weights.detach().numpy()


def boost(X: np.ndarray, answer: np.ndarray) -> HistGradientBoostingClassifier:
    """Trees that tell the answer from the other candidates."""
    label = np.zeros(X.shape[:2])
    label[np.arange(len(X)), answer] = 1
    trees = HistGradientBoostingClassifier(
        max_iter=60,
        learning_rate=0.06,
        max_leaf_nodes=8,
        min_samples_leaf=200,
        l2_regularization=10,
        random_state=0,
    )
    return trees.fit(X.reshape(-1, X.shape[2]), label.ravel())


class Candidates:
    """The best candidates of users, their features, and what comes of ranking them again."""

    def __init__(self, name: str, seed: int) -> None:
        data = realdata.load_sequences(name)
        asked = Asked("mdsrec", data, seed)
        model, histories = asked.model, asked.histories
        vectors, related = asked.vectors, asked.related
        scores = vectors + related + asked.masked
        top = np.argpartition(-scores, N_CANDIDATES, axis=1)[:, :N_CANDIDATES]
        right = top == asked.answer[:, None]
        self.answer, self.inside = right.argmax(axis=1), right.any(axis=1)
        self.length = np.log([len(history) for history in histories]).astype(np.float32)
        self.names = list(PARTS)
        columns = [np.take_along_axis(values, top, axis=1) for values in (vectors, related)]
        width = int(model.n_factors)
        for m, (modality, values) in enumerate(data.features.items()):
            centered = np.nan_to_num(values - np.nanmean(values, axis=0))
            learned = model.item_embedding_[:, m * width : (m + 1) * width]
            for kind, table in (("features", centered), ("learned", learned)):
                of_kind = cosines(f"{kind} {modality}", unit_rows(table), histories)
                self.names += of_kind
                columns += [np.take_along_axis(x, top, axis=1) for x in of_kind.values()]
        self.X = np.stack(columns, axis=2).astype(np.float32)
        self.fold = np.random.default_rng(0).integers(0, N_FOLDS, len(asked.users))
        self.base = self.ndcg(self.X[:, :, 0] + self.X[:, :, 1])

    def ndcg(self, scores: np.ndarray) -> np.ndarray:
        """Of every user, where the answer may not be among the candidates."""
        own = np.take_along_axis(scores, self.answer[:, None], axis=1)
        rank = (scores > own).sum(axis=1)
        return np.where(self.inside, gain_of_rank(rank), 0.0)

    def linear(self, kinds: tuple[str, ...], *, by_length: bool = False) -> np.ndarray:
        """NDCG of softmax regressions on the score and the features of these kinds."""
        chosen = [c for c, name in enumerate(self.names) if c < 2 or name.startswith(kinds)]
        X = self.X[:, :, chosen]
        scale = X.std(axis=(0, 1)) + 1e-6
        X = (X - X.mean(axis=(0, 1))) / scale
        start = np.zeros(X.shape[2] * (1 + by_length), dtype=np.float32)
        start[:2] = 10 * scale[:2]  # the score as it is, divided by the temperature
        if by_length:
            length = (self.length - self.length.mean()) / self.length.std()
            X = np.concatenate([X, X * length[:, None, None]], axis=2)
        return self._held_out(lambda rows: X[rows] @ regress(*self._fitted(X, rows), start))

    def trees(self) -> np.ndarray:
        """NDCG of boosted trees on all features and the length."""
        length = np.broadcast_to(self.length[:, None, None], (*self.X.shape[:2], 1))
        best = self.X[:, :, :2].max(axis=1, keepdims=True)
        X = np.concatenate([self.X, self.X[:, :, :2] - best, length], axis=2)

        def score(rows: np.ndarray) -> np.ndarray:
            fitted = boost(*self._fitted(X, rows))
            return fitted.decision_function(X[rows].reshape(-1, X.shape[2])).reshape(len(rows), -1)

        return self._held_out(score)

    def _fitted(self, X: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features and answers of the users outside these rows."""
        others = self.inside.copy()
        others[rows] = False
        return X[others], self.answer[others]

    def _held_out(self, score: Any) -> np.ndarray:
        scores = np.empty(self.X.shape[:2])
        for fold in range(N_FOLDS):
            rows = np.flatnonzero(self.fold == fold)
            scores[rows] = score(rows)
        return self.ndcg(scores)


def measure(name: str, seed: int) -> dict[str, Any]:
    """One fit, and every learned function of its candidates beside the score as it is."""
    found = Candidates(name, seed)
    features = ("features",)
    tried = {
        "two parts": found.linear(()),
        "two parts, by length": found.linear((), by_length=True),
        "cosines of features": found.linear(features),
        "cosines of features, by length": found.linear(features, by_length=True),
        "cosines of learned vectors": found.linear(("learned",)),
        "all cosines": found.linear(("features", "learned")),
        "all cosines, boosted trees": found.trees(),
    }
    tests = by_user.compare(list(tried.values()), [found.base] * len(tried))
    rows = {
        label: {"mean": float(values.mean()), **test}
        for (label, values), test in zip(tried.items(), tests, strict=True)
    }
    shares = {"users": len(found.base), "among the candidates": float(found.inside.mean())}
    return {**shares, "as it is": float(found.base.mean()), "ranked again": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", nargs="+", default=["scientific", "ml100k"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--json", type=Path, default=Path(__file__).parent / "results/sequence-candidates.json"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found: dict[str, Any] = {}
    for name in args.dataset:
        own = found[name] = measure(name, args.seed)
        print(
            f"\n{name}: NDCG@{K} of {own['users']:,} users on validation, {own['as it is']:.4f} as "
            f"it is; {own['among the candidates']:.1%} have the answer among {N_CANDIDATES}"
        )
        for label, row in own["ranked again"].items():
            print(
                f"{label:<32}{row['mean']:.4f}  {row['difference']:+.4f} "
                f"[{row['low']:+.4f}, {row['high']:+.4f}]  p {row['p']:.3f}"
            )
        report = {"environment": environment.describe(), "seed": args.seed, "data": found}
        environment.write(report, args.json)


if __name__ == "__main__":
    main()
