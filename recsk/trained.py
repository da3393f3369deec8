"""What recommenders share that are trained in epochs, on one vector per modality."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Self

import joblib
import numpy as np
import scipy.sparse as sp
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions

from recsk._state import StateReader
from recsk.base import BaseRecommender
from recsk.early_stopping import parse_metric
from recsk.interactions import Interactions
from recsk.nn.checkpoint import Checkpoint
from recsk.nn.training import TrainingLog, train

__all__ = ["TrainedRecommender", "resolve_device", "warn_if_unfinished"]


class TrainedRecommender(BaseRecommender):
    """A recommender whose vectors come out of PyTorch: device, early stopping, checkpoints.

    The constructor of a subclass has the parameters of `_parameter_constraints`, and its ``fit``
    begins with `_check_fit_parameters`, trains by `_train_network` and ends with `_keep_log`,
    `_set_fitted` and `warn_if_unfinished`. A whole one is made in
    :doc:`/contributing/add_an_estimator`.
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **BaseRecommender._parameter_constraints,
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "learning_rate_decay": [Interval(Real, 0, 1, closed="right")],
        "weight_averaging": [Interval(Real, 0, 1, closed="left")],
        "early_stopping": [StrOptions({"auto"}), "boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "eval_metric": [str],
        "device": [str],
        "checkpoint": [str, os.PathLike, None],
        "checkpoint_epochs": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # Where the paper of the method and the defaults differ.
    _paper: ClassVar[dict[str, Any]]
    # What the memory of a fit grows with, the first one the first to lower.
    _sizes: ClassVar[tuple[str, ...]]

    @classmethod
    def paper(cls, **params: Any) -> Self:
        """Make an estimator with the settings of its paper in place of the defaults.

        Parameters
        ----------
        **params
            Parameters that are to differ from them.

        Returns
        -------
        estimator
            Not fitted.

        Examples
        --------
        >>> from recsk import MDERecommender, MDSRecRecommender
        >>> MDERecommender.paper(alpha=0.3).loss
        'bpr'
        >>> MDSRecRecommender.paper().item_vectors
        'mean'
        """
        return cls(**{**cls._paper, **params})

    # --------------------------------------------------------------------------- before training

    def _check_fit_parameters(self) -> torch.device:
        """Refuse parameters that no data would make right, and find the device."""
        self._validate_params()
        parse_metric(self.eval_metric)
        if self.checkpoint is not None:
            if not isinstance(self.random_state, Integral):
                raise ValueError(
                    "checkpoint needs an int as random_state, so that a fit can be gone on with; "
                    f"got random_state={self.random_state!r}"
                )
            path = Path(self.checkpoint)
            if path.is_dir() or not path.parent.is_dir():
                raise ValueError(
                    f"checkpoint must name a file in a folder that exists; got {str(path)!r}"
                )
        return resolve_device(self.device)

    def _check_eval_set(
        self, eval_set: Any, X: sp.csr_matrix, *, repeats: bool = False
    ) -> sp.csr_matrix:
        """What to watch of it: rows of users who are trained on, who met `X`.

        With `repeats` what they met may be recommended, and may be watched.
        """
        known = np.diff(X.indptr) > 0
        self.n_users_ = len(known)  # what it is checked against
        interactions = self._check_interactions(eval_set, reset=False, name="eval_set")
        if not isinstance(eval_set, Interactions) and interactions.n_users < len(known):
            raise ValueError(
                f"eval_set has {interactions.n_users} users (rows), but X has {len(known)}: one "
                "row for each user of X is expected. (The searches of scikit-learn cut a matrix "
                "that has as many rows as X has interactions: leave it out there.)"
            )
        # Whoever is not gets the most popular items, whatever is learned.
        watched = interactions[known[interactions.user]].to_csr()
        watched.resize((len(known), interactions.n_items))
        if not watched.nnz:
            raise ValueError(
                f"eval_set has {len(interactions)} interactions, all of them of users who have "
                "none in X: there is nothing to watch"
            )
        n_met = 0 if repeats else watched.multiply(X).nnz
        if n_met == watched.nnz:
            raise ValueError(
                f"eval_set: all its {n_met} interactions are in X as well, which is what users "
                "met and is never recommended again; leave them out of X"
            )
        if n_met > watched.nnz / 2:
            warnings.warn(
                f"{n_met} of the {watched.nnz} interactions of eval_set are in X as well, and "
                "count as never found; were they to be left out of X?",
                stacklevel=4,
            )
        return watched

    def _to_watch(self, held_out: sp.csr_matrix | None) -> sp.csr_matrix | None:
        """What was held out of X, or None where that is nothing."""
        if held_out is not None and held_out.nnz:
            return held_out
        if self.early_stopping is True:
            warnings.warn(
                f"early_stopping=True holds out validation_fraction={self.validation_fraction}, "
                "which is nothing of the histories in X: training runs for all "
                f"{self.max_epochs} epochs. Give an eval_set, or a larger fraction",
                stacklevel=4,
            )
        return None

    def _holds_out(self, n_interactions: int) -> bool:
        """Whether some of so many interactions are to be held out for early stopping."""
        if self.early_stopping == "auto":
            return n_interactions >= 10_000
        return bool(self.early_stopping)

    # ---------------------------------------------------------------------------------- training

    @contextmanager
    def _explaining_memory(self, interactions: Interactions) -> Iterator[None]:
        """Say what to lower where the memory was not enough for these interactions."""
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            sizes = ", ".join(f"{name}={getattr(self, name)}" for name in self._sizes)
            if isinstance(error, torch.OutOfMemoryError):
                raise torch.OutOfMemoryError(
                    f"the memory of device={self.device!r} was not enough for this fit: lower one "
                    f"of {sizes}, or choose device='cpu'"
                ) from error
            if not isinstance(error, MemoryError) and "allocate memory" not in str(error):
                raise
            met = [len(np.unique(ids)) for ids in (interactions.user, interactions.item)]
            raise MemoryError(
                f"the memory was not enough for this fit: lower one of {sizes}. X has "
                f"{interactions.n_users} users x {interactions.n_items} items, of whom {met[0]} "
                f"and {met[1]} have interactions; ids with gaps lose them by "
                "Interactions.from_frame"
            ) from error

    def _train_network(
        self,
        network: torch.nn.Module,
        batches: Any,
        loss_terms: Callable[[Any], dict[str, torch.Tensor]],
        *,
        evaluate: Callable[[], float] | None,
        before_epoch: Callable[[], None] | None = None,
        data: Any,
        random_states: Sequence[torch.Generator | np.random.RandomState],
    ) -> TrainingLog:
        """Train as the parameters say; `data` and `random_states` are what a checkpoint needs."""
        return train(
            network,
            batches,
            loss_terms,
            max_epochs=int(self.max_epochs),
            learning_rate=self.learning_rate,
            learning_rate_decay=self.learning_rate_decay,
            weight_averaging=self.weight_averaging,
            before_epoch=before_epoch,
            evaluate=evaluate,
            n_iter_no_change=int(self.n_iter_no_change),
            checkpoint=self._make_checkpoint(data, random_states),
            verbose=bool(self.verbose),
        )

    def _make_checkpoint(
        self, data: Any, random_states: Sequence[torch.Generator | np.random.RandomState]
    ) -> Checkpoint | None:
        """Where the training on these data is written down, if it is."""
        if self.checkpoint is None:
            return None
        params = self.get_params(deep=False)
        for name in ("checkpoint", "checkpoint_epochs", "verbose"):
            del params[name]
        return Checkpoint(
            Path(self.checkpoint),
            every=int(self.checkpoint_epochs),
            # Random states of one kind of device are none of another.
            training=joblib.hash(
                [type(self).__name__, params, data, resolve_device(self.device).type]
            ),
            random_states=random_states,
        )

    # ------------------------------------------------------------------------------ what is kept

    def _keep_log(self, features: Mapping[str, Any], log: TrainingLog) -> None:
        """Keep what is known of the training, and of what."""
        self.modality_names_ = list(features)
        self.loss_curve_, self.validation_curve_ = log.loss_curve, log.validation_curve
        self.n_iter_, self.best_iter_ = log.n_iter, log.best_iter

    def _set_fitted(
        self,
        interactions: Interactions,
        user_embedding: np.ndarray,
        item_embedding: np.ndarray,
    ) -> None:
        if not (np.isfinite(user_embedding).all() and np.isfinite(item_embedding).all()):
            raise ValueError(
                "training diverged: the vectors of users or items are not finite; lower "
                f"learning_rate={self.learning_rate}, or scale down very large item_features"
            )
        super()._set_fitted(interactions, user_embedding, item_embedding)

    def _get_state(self) -> dict[str, Any]:
        return {
            **super()._get_state(),
            "modality_names_": self.modality_names_,
            "user_preference_": self.user_preference_,
            "n_iter_": self.n_iter_,
            "best_iter_": self.best_iter_,
            "validation_curve_": np.array(self.validation_curve_, dtype=np.float64),
            "loss_terms": list(self.loss_curve_),
            "loss_curve_": {
                term: np.array(curve, dtype=np.float64) for term, curve in self.loss_curve_.items()
            },
        }

    def _set_state(self, state: StateReader) -> None:
        super()._set_state(state)
        self.modality_names_ = state.strings("modality_names_")
        n_modalities = max(len(self.modality_names_), 1)
        self.user_preference_ = state.array("user_preference_", (self.n_users_, n_modalities))
        self.n_iter_ = state.integer("n_iter_", 0)
        self.best_iter_ = state.integer("best_iter_", 0, self.n_iter_)
        self.validation_curve_ = state.curve("validation_curve_")
        curves = state.part("loss_curve_")
        self.loss_curve_ = {term: curves.curve(term) for term in state.strings("loss_terms")}


def resolve_device(device: str) -> torch.device:
    """Turn the parameter `device` into a torch device.

    Parameters
    ----------
    device : str
        ``"auto"`` is CUDA where there is one, else the CPU; ``"cpu"``, ``"cuda"`` or
        ``"cuda:1"`` choose.

    Raises
    ------
    ValueError
        If it is none of these, or the device is not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError:
        resolved = None
    if resolved is None or resolved.type not in ("cpu", "cuda"):
        raise ValueError(
            f"device must be 'auto', 'cpu' or 'cuda' (or 'cuda:1' ...); got {device!r}"
        )
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device={device!r} was asked for, but torch sees {torch.cuda.device_count()} CUDA "
            "devices; device='auto' takes one where there is one"
        )
    return resolved


def warn_if_unfinished(log: TrainingLog) -> None:
    """Say so when a fit ended before its time."""
    if log.stopped_by == "interrupt":
        reason = "fit was interrupted"
    elif log.stopped_by == "non-finite":
        reason = f"the loss term {log.non_finite!r} was not finite (try a lower learning_rate)"
    elif log.stopped_by == "no-batches":
        reason = "X has nobody with two items, so that there is nothing that comes next to learn"
    else:
        return
    state = f"the weights of epoch {log.best_iter}" if log.best_iter else "its initial weights"
    warnings.warn(f"{reason}; the estimator keeps {state}", ConvergenceWarning, stacklevel=3)
