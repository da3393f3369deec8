"""The equations of MDE (arXiv 2502.18481) in slow, plain NumPy, one number at a time.

All arrays are dense float64. The code follows the equations, not the package.
"""

from itertools import combinations

import numpy as np

# Graphs


def symmetric(A):
    """D^-1/2 A D^-1/2; rows of nodes without edges stay zero."""
    out = np.zeros(A.shape)
    for i, j in np.argwhere(A):
        out[i, j] = A[i, j] / np.sqrt(A[i].sum() * A[:, j].sum())
    return out


def interaction_graph(R):
    """Eq. 2-3."""
    n_users, n_items = R.shape
    return symmetric(np.block([[np.zeros((n_users,) * 2), R], [R.T, np.zeros((n_items,) * 2)]]))


def softmax(x):
    weights = np.exp(x - np.max(x))
    return weights / weights.sum()


def user_graph(R, n_neighbors, others=None, max_degree=None):
    """Eq. 4: for each user, softmax over the counts of common items of the nearest users.

    An item that u and v share counts as the geometric mean of its weights R_ui and R_vi. The
    neighbours come from `others`, or from R itself, where a user is not its own neighbour.
    """
    same_users, others = others is None, R if others is None else others
    counted = [
        i for i in range(R.shape[1]) if max_degree is None or (others[:, i] > 0).sum() <= max_degree
    ]
    out = np.zeros((len(R), len(others)))
    for u in range(len(R)):
        common = {
            v: sum(np.sqrt(R[u, i] * others[v, i]) for i in counted) for v in range(len(others))
        }
        near = [v for v in common if common[v] > 0 and not (same_users and v == u)]
        near = sorted(near, key=lambda v: (-common[v], v))[:n_neighbors]
        if near:
            out[u, near] = softmax(np.array([common[v] for v in near]))
    return out


def user_walks(R, n_neighbors, others=None, max_degree=None):
    """Probabilities of the walks user, item, user, to the users that most of them reach."""
    same_users, others = others is None, R if others is None else others
    out = np.zeros((len(R), len(others)))
    for u in range(len(R)):
        for i in np.flatnonzero(R[u]):
            if max_degree is None or (others[:, i] > 0).sum() <= max_degree:
                for v in np.flatnonzero(others[:, i]):
                    out[u, v] += R[u, i] / R[u].sum() * others[v, i] / others[:, i].sum()
        if same_users:
            out[u, u] = 0
        out[u, sorted(range(len(others)), key=lambda v: (-out[u, v], v))[n_neighbors:]] = 0
    return out


def item_graph(F, n_neighbors, present=None):
    """Eq. 4: the most similar items by cosine, symmetrically normalised."""
    members = np.arange(len(F)) if present is None else np.flatnonzero(present)
    out = np.zeros((len(F), len(F)))
    for i in members:
        cosine = {
            j: F[i] @ F[j] / max(np.linalg.norm(F[i]) * np.linalg.norm(F[j]), 1e-300)
            for j in members
            if j != i
        }
        for j in sorted(cosine, key=cosine.get, reverse=True)[:n_neighbors]:
            out[i, j] = max(cosine[j], 0)
    return symmetric(out)


# Propagation


def unit(X):
    """Scale rows to length one; a row of zeros stays zero."""
    length = np.linalg.norm(X, axis=-1, keepdims=True)
    return np.divide(X, length, out=np.zeros_like(X), where=length > 0)


def propagate(A, X, n_layers):
    """Eq. 3: the mean of layers 0 to L."""
    return np.mean([np.linalg.matrix_power(A, layer) @ X for layer in range(n_layers + 1)], axis=0)


def fuse(X, preference, how):
    """Eq. 5, for vectors (n, M, d) and preferences (n, M)."""
    weighted = [
        [w * x for w, x in zip(*node, strict=True)] for node in zip(preference, X, strict=True)
    ]
    join = {"concat": np.concatenate, "sum": lambda parts: np.sum(parts, axis=0)}[how]
    return np.array([join(parts) for parts in weighted])


# Losses


def weighted_mean(losses, weight):
    """Mean over the interactions of loss times weight."""
    weight = [1] * len(losses) if weight is None else weight
    return np.mean([w * loss for w, loss in zip(weight, losses, strict=True)])


def bpr(positive, negative, weight=None):
    """Eq. 9."""
    pairs = zip(positive, negative, strict=True)
    return weighted_mean([-np.log(1 / (1 + np.exp(-(p - n)))) for p, n in pairs], weight)


def sampled_softmax(positive, negative, excluded=None, weight=None):
    """Cross-entropy of the positive among the sampled negatives that are not excluded."""
    losses = []
    for r, p in enumerate(positive):
        others = [n for c, n in enumerate(negative[r]) if excluded is None or not excluded[r, c]]
        losses.append(-np.log(softmax(np.array([p, *others]))[0]))
    return weighted_mean(losses, weight)


def difference(first, second, weight):
    """MDA, Eq. 6."""
    pairs = zip(weight, unit(first), unit(second), strict=True)
    return -np.mean([np.sum(w * np.abs(v - t)) for w, v, t in pairs])


def info_nce(first, second, temperature, ids=None):
    """Eq. 7 without the weight; another row of the same node is not a negative."""
    v, t = unit(first), unit(second)
    losses = []
    for i in range(len(v)):
        others = [j for j in range(len(v)) if j != i and (ids is None or ids[j] != ids[i])]
        cosines = np.array([v[i] @ t[j] for j in [i, *others]])
        losses.append(-np.log(softmax(cosines / temperature)[0]))
    return np.array(losses)


def alignment(first, second, weight, temperature, ids=None):
    """MSA, Eq. 7."""
    return np.mean(weight * info_nce(first, second, temperature, ids))


def tradeoff(first, second):
    """NLT, Eq. 8."""
    w_d = np.abs(first - second)
    return w_d, 1 - w_d


def squared_norm(*tables):
    """Half the sum of squares of a batch's rows, per interaction of the batch."""
    return sum(np.sum(table**2) for table in tables) / (2 * len(tables[0]))


# The whole model


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _encode(p, m, F):
    def linear(name, x):
        return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    if f"encoders.{m}.weight" in p:
        return linear(f"encoders.{m}", F)
    hidden = linear(f"encoders.{m}.0", F)
    return linear(f"encoders.{m}.2", np.where(hidden > 0, hidden, 0.01 * hidden))


def initial(p, problem):
    """Vectors before propagation, users (U, M, d) and items (I, M, d)."""
    scale = unit if problem.normalize else (lambda x: x)
    n_modalities = max(len(problem.features), 1)
    users = p["user"].reshape(len(p["user"]), n_modalities, -1)
    if not problem.features:
        return scale(users), scale(p["item"])[:, None]
    items = np.zeros((problem.R.shape[1], n_modalities, users.shape[2]))
    for m, (F, present) in enumerate(zip(problem.features, problem.present, strict=True)):
        encoded = _encode(p, m, F)
        for i in range(len(items)):
            # The id vector counts the less beside the content, the fewer interactions there are.
            n = problem.R[:, i].sum()
            id_vector = p["item"][i] * n / (n + problem.id_shrinkage) if "item" in p else None
            if problem.id_embedding == "none":
                items[i, m] = scale(encoded[i]) if present[i] else 0
            elif problem.id_embedding == "add":
                items[i, m] = scale(id_vector + (unit(encoded[i]) if present[i] else 0))
            else:
                gate = _sigmoid(p[f"gates.{m}.weight"] @ encoded[i] + p[f"gates.{m}.bias"])
                items[i, m] = scale(id_vector * (gate if present[i] else 0.5))
    return scale(users), items


def forward(p, problem):
    """Eq. 2-4: users (U, M, d) and items (I, M, d)."""
    n_users, n_items = problem.R.shape
    users, items = initial(p, problem)
    n_modalities = users.shape[1]
    A = interaction_graph(problem.R)
    users, items = np.empty_like(users), np.empty_like(items)
    start = np.concatenate(initial(p, problem))
    for m in range(n_modalities):
        nodes = propagate(A, start[:, m], problem.n_layers)
        users[:, m], items[:, m] = nodes[:n_users], nodes[n_users:]
        if problem.user_neighbors:
            users[:, m] += user_graph(problem.R, problem.user_neighbors) @ users[:, m]
        if problem.item_neighbors and problem.features:
            near = item_graph(problem.features[m], problem.item_neighbors, problem.present[m])
            items[:, m] += near @ items[:, m]
    assert len(items) == n_items
    return users, items


def preferences(p, problem):
    """Eq. 5: weights of users (U, M) and items (I, M); rows sum to one."""
    if "fixed_preference" in p:
        return tuple(np.tile(p["fixed_preference"], (n, 1)) for n in problem.R.shape)
    return tuple(np.array([softmax(row) for row in p[f"{x}_preference"]]) for x in ("user", "item"))


def fused_weights(p, problem):
    """Weights of the modalities in fused vectors: preferences, or those of users alone."""
    users, items = preferences(p, problem)
    return users, items if problem.weigh_items else np.ones_like(items)


def embeddings(p, problem):
    """Fused vectors of users and items, whose inner products are scores."""
    scale = unit if problem.similarity == "cosine" else (lambda x: x)
    pairs = zip(forward(p, problem), fused_weights(p, problem), strict=True)
    return tuple(scale(fuse(X, weights, problem.fusion)) for X, weights in pairs)


def objective(p, problem, batch, c):
    """Eq. 9-11: the weighted terms of the loss on one batch, by name."""
    user, positive, negative, excluded, weight = batch
    users, items = forward(p, problem)
    user_preference, item_preference = preferences(p, problem)
    scale = unit if problem.similarity == "cosine" else (lambda x: x)
    nodes = [users[user], items[positive], items[negative]]
    of_users, of_items = fused_weights(p, problem)
    chosen = [of_users[user], of_items[positive], of_items[negative]]

    def rank(u, i, j):
        u, i, j = scale(u), scale(i), scale(j)
        scores = np.array([a @ b for a, b in zip(u, i, strict=True)])
        if c["ranking"] == "bpr":
            negatives = np.array([a @ b for a, b in zip(u, j, strict=True)])
            return bpr(c["score_scale"] * scores, c["score_scale"] * negatives, weight)
        tau = c["score_temperature"]
        return sampled_softmax(scores / tau, u @ j.T / tau, excluded, weight)

    fused = [fuse(X, w, problem.fusion) for X, w in zip(nodes, chosen, strict=True)]
    learned = [p["user"][user]]
    if "item" in p:
        learned += [p["item"][positive], p["item"][negative]]
    terms = {
        "ranking": rank(*fused),
        "regularization": c["reg_lambda"] * squared_norm(*learned),
    }
    n_modalities = users.shape[1]
    if n_modalities == 1:
        return terms
    terms["modality_ranking"] = c["modality_weight"] * sum(
        rank(*(X[:, m] for X in nodes)) for m in range(n_modalities)
    )
    terms["difference"] = terms["alignment"] = 0.0
    for side, ids, X, w in (
        ("user", user, nodes[0], user_preference[user]),
        ("item", positive, nodes[1], item_preference[positive]),
    ):
        for pair, (a, b) in enumerate(combinations(range(n_modalities), 2)):
            if problem.tradeoff == "preference":
                w_d, w_s = tradeoff(w[:, a], w[:, b])
            elif problem.tradeoff == "uniform":
                w_d = w_s = np.ones(len(X))
            else:
                w_d, w_s = _sigmoid(p[f"{side}_tradeoff"][ids, 2 * pair : 2 * pair + 2]).T
            head = slice(c["max_alignment"])
            terms["difference"] += c["alpha"] * difference(X[head, a], X[head, b], w_d[head])
            terms["alignment"] += c["beta"] * alignment(
                X[head, a], X[head, b], w_s[head], c["temperature"], ids[head]
            )
    return terms
