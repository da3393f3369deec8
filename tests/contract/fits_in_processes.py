"""Fits in one process of several: ``python -m tests.contract.fits_in_processes``.

The words are the rank, the number of processes, where they meet, a file for what is found, and the
name of a function of this module, with its arguments.
"""

import os
import pickle
import signal
import sys
import warnings

import numpy as np

from recsk import Interactions, MDERecommender, MDSRecRecommender

SMALL = {"n_factors": 8, "max_epochs": 3, "batch_size": 64, "device": "cpu", "random_state": 0}
ESTIMATORS = {
    "mde": MDERecommender(early_stopping=True, alpha=0.1, beta=0.1, reg_lambda=0.01, **SMALL),
    "mde, as the paper": MDERecommender.paper(user_neighbors=5, early_stopping=True, **SMALL),
    "mde, coverage": MDERecommender(early_stopping=True, eval_metric="coverage@5", **SMALL),
    "mdsrec": MDSRecRecommender(
        n_interests=4, max_length=5, early_stopping=True, **SMALL | {"batch_size": 30}
    ),
    "mdsrec, sampled": MDSRecRecommender.paper(n_negatives=8, **SMALL | {"batch_size": 7}),
}


def data():
    rng = np.random.default_rng(0)
    user = rng.integers(60, size=900)
    item = (user + rng.geometric(0.1, size=900)) % 40
    X = Interactions(user, item, timestamp=np.arange(900), n_users=60, n_items=40)
    return X.deduplicate(), {"v": rng.normal(size=(40, 6)), "t": rng.normal(size=(40, 4))}


def state_of(model):
    losses = [model.loss_curve_[name] for name in sorted(model.loss_curve_)]
    return {
        "losses": np.array(losses),
        "validation": np.array(model.validation_curve_),
        "epochs": np.array([model.n_iter_, model.best_iter_]),
        "users": model.user_embedding_,
        "items": model.item_embedding_,
        "preference": model.user_preference_,
    }


FEW = ("mde", "mdsrec")
FITS = (*ESTIMATORS, *(f"{name}, partial_fit" for name in FEW))


def fits(names):
    """Estimators, fitted and fitted further."""
    X, features = data()
    rng = np.random.default_rng(1)
    weight = rng.uniform(0.5, 2, len(X))
    more = Interactions(
        rng.integers(70, size=50),
        rng.integers(40, size=50),
        timestamp=np.arange(1000, 1050),
        n_users=70,
        n_items=40,
    )
    found = {}
    for name in names:
        est = ESTIMATORS[name.removesuffix(", partial_fit")]
        if name in ESTIMATORS:
            est.fit(X, item_features=features, sample_weight=weight)
        else:
            est.partial_fit(more)
        found[name] = state_of(est)
    return found


def fits_and_refusals(rank, *names):
    found = fits(names)
    X, features = data()
    without_seed = MDERecommender(**SMALL | {"random_state": None}, verbose=True)
    found["without a seed"] = state_of(without_seed.fit(X, item_features=features))
    est = ESTIMATORS["mde"]
    other = {name: x + (rank == 1) for name, x in features.items()}
    wrong = {
        "parameters": lambda: est.set_params(alpha=0.1 + rank).fit(X, item_features=features),
        "features": lambda: est.set_params(alpha=0.1).fit(X, item_features=other),
        "X": lambda: est.fit(X[rank:], item_features=features),
    }
    for name, call in wrong.items():
        try:
            call()
        except ValueError as error:
            found[name] = str(error)
    return found


def fit_until_killed(rank, path, epoch):
    """A fit with a checkpoint, in which the last process dies in an epoch; 0 is in none."""
    import torch.distributed as dist

    from recsk.nn import training

    run, epochs = training._run_epoch, []
    last = not dist.is_initialized() or rank == dist.get_world_size() - 1

    def watched(*parts):
        epochs.append(len(epochs))
        if last and len(epochs) == int(epoch):
            os.kill(os.getpid(), signal.SIGKILL)
        return run(*parts)

    training._run_epoch = watched
    X, features = data()
    model = MDERecommender(early_stopping=True, **SMALL | {"max_epochs": 5})
    try:
        model.fit(X, item_features=features, checkpoint=path)
    except RuntimeError as error:
        return {"error": str(error)}
    return state_of(model) | {"run": len(epochs)}


def main():
    rank, size, meeting, path, name, *words = sys.argv[1:]
    import torch.distributed as dist

    warnings.simplefilter("ignore")
    if int(size) > 1:
        dist.init_process_group("gloo", init_method=meeting, rank=int(rank), world_size=int(size))
    found = globals()[name](int(rank), *words)
    with open(path, "wb") as file:
        pickle.dump(found, file)


if __name__ == "__main__":
    main()
