"""The first step of a fit: parameters and data checked, split and brought into one form."""

from __future__ import annotations

import os
import warnings
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_random_state

from recsk.contract.device import check_precision, resolve_device
from recsk.contract.growth import Growth
from recsk.contract.processes import check_agreement, find_processes, same_draws
from recsk.contract.recommender import BaseRecommender
from recsk.contract.validation import parse_metric
from recsk.data.interactions import Interactions
from recsk.features.dense import Features, fill_and_standardize, find_extreme_rows

if TYPE_CHECKING:
    import torch

    from recsk.nn.parallel import Processes

__all__ = ["FitPreparation", "Prepared"]

T = TypeVar("T")
_LARGE = 10_000  # interactions from which "auto" stops early


@dataclass(frozen=True)
class Prepared(Generic[T]):
    """What a fit learns from.

    Attributes
    ----------
    interactions : Interactions
        All of X whose weight is not zero. The values are the weights in (0, 1], or None where all
        are equal.
    train_set : T
        X without what is held out, in the form that the network trains on.
    held_out : csr_matrix of shape (n_users, n_items) or None
        What early stopping watches.
    features : dict of str to Features
        By modality.
    given_features : dict of str to ndarray of shape (n_items, n_columns), float32
        The same as they were given; a row of NaN is an item without the modality.
    rng : RandomState
    seed : int
        Of everything that does not draw from `rng`.
    device : torch.device
    growth : Growth or None
        What is new, if training starts from the weights of a fitted model; None otherwise.
    checkpoint : Path or None
        Where the state of the training is saved: a file, or a folder.
    processes : Processes or None
        That fit the same model together; None where this one is alone.
    new_items : ndarray of int64 or None
        Items that the user says have just arrived.
    """

    interactions: Interactions
    train_set: T
    held_out: sp.csr_matrix | None
    features: dict[str, Features]
    given_features: dict[str, np.ndarray]
    rng: np.random.RandomState
    seed: int
    device: torch.device
    growth: Growth | None = None
    checkpoint: Path | None = None
    processes: Processes | None = None
    new_items: np.ndarray | None = None

    @property
    def modalities(self) -> list[Features]:
        """The features without their names."""
        return list(self.features.values())

    @property
    def ranking_device(self) -> str | None:
        """The device of torch that ranks during the fit; None is the CPU, without torch."""
        return None if self.device.type == "cpu" else str(self.device)

    @property
    def adds(self) -> bool:
        """Whether a fitted model learns on from new interactions beside the known ones."""
        return self.growth is not None and self.growth.adds


class FitPreparation(BaseRecommender):
    """Turns the arguments of ``fit`` into `Prepared`; nothing is trained before it succeeds."""

    def _prepare(
        self,
        X: Any,
        item_features: Mapping[str, Any] | None,
        eval_set: Any,
        sample_weight: Any = None,
        checkpoint: Any = None,
        new_items: Any = None,
    ) -> Prepared[Any]:
        """Check parameters and data, and split off what early stopping watches."""
        device = self._check_fit_parameters()
        path = self._check_checkpoint(checkpoint)
        interactions, checked = self._check_data(X, item_features, sample_weight)
        new = self._check_new_items(new_items, interactions, checked)
        processes = find_processes(device)
        rng = same_draws(check_random_state(self.random_state), processes)
        train_set, held_out = self._split(interactions, eval_set, rng)
        seed = int(rng.randint(np.iinfo(np.int32).max))
        features = self._prepare_features(checked)
        self._warn_of_extreme_items(features)
        prepared = Prepared(
            interactions, train_set, held_out, features, checked, rng, seed, device, None, path
        )
        return self._agreed(replace(prepared, new_items=new), processes)

    def _prepare_growth(
        self, X: Any, item_features: Mapping[str, Any] | None, sample_weight: Any
    ) -> Prepared[Any]:
        """Check new data and join them to the known ones; nothing is held out.

        It changes the space of users and items: call it on a copy of the model.
        """
        device = self._check_fit_parameters()
        interactions, checked, growth = self._check_more(X, item_features, sample_weight)
        # An int as seed gives other draws for other data: not the same users every night.
        processes = find_processes(device)
        rng = same_draws(check_random_state(self.random_state), processes)
        first = rng.randint(np.iinfo(np.int32).max)
        rng = np.random.RandomState([first, len(interactions)])
        seed = int(rng.randint(np.iinfo(np.int32).max))
        train_set, features = (
            self._training_set(interactions),
            self._prepare_grown_features(checked),
        )
        prepared = Prepared(
            interactions, train_set, None, features, checked, rng, seed, device, growth
        )
        return self._agreed(prepared, processes)

    def _prepare_again(
        self,
        X: Any,
        item_features: Mapping[str, Any] | None,
        eval_set: Any,
        sample_weight: Any,
        checkpoint: Any,
        new_items: Any = None,
    ) -> Prepared[Any]:
        """Do as `_prepare` for a fit that starts from the weights of a copy of the model."""
        device = self._check_fit_parameters()
        path = self._check_checkpoint(checkpoint)
        interactions, checked, growth = self._check_more(
            X, item_features, sample_weight, adds=False
        )
        new = self._check_new_items(new_items, interactions, checked, again=True)
        processes = find_processes(device)
        rng = same_draws(check_random_state(self.random_state), processes)
        train_set, held_out = self._split(interactions, eval_set, rng)
        seed = int(rng.randint(np.iinfo(np.int32).max))
        features = self._prepare_grown_features(checked)
        prepared = Prepared(
            interactions, train_set, held_out, features, checked, rng, seed, device, growth, path
        )
        return self._agreed(replace(prepared, new_items=new), processes)

    def _agreed(self, prepared: Prepared[Any], processes: Processes | None) -> Prepared[Any]:
        """Return what is prepared, with the processes of the fit, if all of them have the same."""
        if processes is None:
            return prepared
        check_agreement(self, prepared, processes)
        return replace(prepared, processes=processes)

    @abstractmethod
    def _training_set(self, interactions: Interactions) -> Any:
        """Return interactions in the form that the network trains on; values are weights."""

    @abstractmethod
    def _hold_out(
        self, train_set: Any, n_items: int, rng: np.random.RandomState
    ) -> tuple[Any, sp.csr_matrix | None]:
        """Split a training set into the part to train on and the part to watch."""

    def _check_new_items(
        self,
        new_items: Any,
        interactions: Interactions,
        features: Mapping[str, np.ndarray],
        *,
        again: bool = False,
    ) -> np.ndarray | None:
        """Return ids of items that have just arrived; a subclass that places them reads them."""
        return None

    def _check_fit_parameters(self) -> torch.device:
        """Reject parameters that are wrong for any data, and find the device."""
        self._validate_params()
        parse_metric(self.eval_metric)
        device = resolve_device(self.device)
        check_precision(getattr(self, "precision", "float32"), device)
        return device

    def _check_checkpoint(self, checkpoint: Any) -> Path | None:
        """Return the file or folder that the state of a fit is saved to, if any."""
        if checkpoint is None:
            return None
        if not isinstance(checkpoint, str | os.PathLike):
            raise TypeError(f"checkpoint must be a str, path-like or None; got {checkpoint!r}")
        if not isinstance(self.random_state, Integral):
            raise ValueError(
                "checkpoint needs an int as random_state, so that a fit can be resumed; "
                f"got random_state={self.random_state!r}"
            )
        path = Path(os.fsdecode(checkpoint))
        if not path.parent.is_dir():
            raise ValueError(
                "checkpoint must name a file in a folder that exists, or such a folder; got "
                f"{str(path)!r}"
            )
        return path

    def _standardizes(self) -> bool:
        """Whether columns of features are brought to mean 0 and standard deviation 1."""
        return True

    def _prepare_features(self, features: Mapping[str, np.ndarray]) -> dict[str, Features]:
        return {
            name: fill_and_standardize(values, standardize=self._standardizes())
            for name, values in features.items()
        }

    def _prepare_grown_features(self, features: Mapping[str, np.ndarray]) -> dict[str, Features]:
        return self._prepare_features(features)

    def _warn_of_extreme_items(self, features: Mapping[str, Features]) -> None:
        for name, part in features.items():
            rows = find_extreme_rows(part)
            if len(rows):
                item = self._name_items(rows[:1]).tolist()[0]
                many = f" and of {len(rows) - 1} more" if len(rows) > 1 else ""
                warnings.warn(
                    f"item_features[{name!r}]: the values of item {item!r}{many} are so large that "
                    "they outweigh those of all other items, which then look alike. If they are a "
                    "code for a missing value, give a row of NaN",
                    stacklevel=4,
                )

    def _split(
        self, interactions: Interactions, eval_set: Any, rng: np.random.RandomState
    ) -> tuple[Any, sp.csr_matrix | None]:
        """Return what to train on, and what to watch."""
        train_set = self._training_set(interactions)
        if eval_set is not None:
            held_out = self._check_eval_set(eval_set, interactions.to_csr())
            return train_set, held_out if self.early_stopping else None
        stops_early = self.early_stopping
        if stops_early == "auto":
            stops_early = len(interactions) >= _LARGE
        if not stops_early:
            return train_set, None
        train_set, held_out = self._hold_out(train_set, interactions.n_items, rng)
        if held_out is not None and held_out.nnz:
            return train_set, held_out
        if self.early_stopping is True:
            warnings.warn(
                f"early_stopping=True holds out validation_fraction={self.validation_fraction}, "
                "which is nothing of the histories in X: training runs for all "
                f"{self.max_epochs} epochs. Give an eval_set, or a larger fraction",
                stacklevel=4,
            )
        return train_set, None

    def _check_eval_set(self, eval_set: Any, X: sp.csr_matrix) -> sp.csr_matrix:
        """Return the interactions of `eval_set` whose users have some in `X`."""
        known = np.diff(X.indptr) > 0
        self.n_users_ = len(known)  # what it is checked against
        interactions = self._check_interactions(eval_set, reset=False, name="eval_set")
        if not isinstance(eval_set, Interactions) and interactions.n_users < len(known):
            raise ValueError(
                f"eval_set has {interactions.n_users} users (rows), but X has {len(known)}: one "
                "row for each user of X is expected. (The searches of scikit-learn cut a matrix "
                "that has as many rows as X has interactions: leave it out there.)"
            )
        # A user without interactions gets the most popular items, whatever is learned.
        # Items that the fit does not know cannot be found.
        kept = known[interactions.user] & (interactions.item < X.shape[1])
        watched = interactions[kept].to_csr()
        watched.resize(X.shape)
        if not watched.nnz:
            raise ValueError(
                f"eval_set has {len(interactions)} interactions, all of them of users who have "
                "none in X: there is nothing to watch"
            )
        n_seen = watched.multiply(X).nnz if self._score_excludes_seen() else 0
        if n_seen == watched.nnz:
            raise ValueError(
                f"eval_set: all its {n_seen} interactions are in X as well, and what a user has "
                "seen is never recommended again; leave them out of X"
            )
        if n_seen > watched.nnz / 2:
            warnings.warn(
                f"{n_seen} of the {watched.nnz} interactions of eval_set are in X as well, and "
                "count as never found; were they to be left out of X?",
                stacklevel=5,
            )
        return watched
