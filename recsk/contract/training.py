"""The base class of recommenders that train a network in epochs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import joblib
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval, StrOptions

from recsk.contract.checkpoint import Checkpoint, Stateful
from recsk.contract.learning import Learned
from recsk.contract.preparation import FitPreparation, Prepared
from recsk.contract.processes import shared_checkpoint
from recsk.contract.recommender import BaseRecommender
from recsk.contract.running import network_state
from recsk.data.interactions import Interactions
from recsk.ranking.devices import is_memory_error_of_device, ranking_device
from recsk.storage.state import StateReader
from recsk.storage.version import __version__

if TYPE_CHECKING:
    import torch

    from recsk.nn.parallel import Processes
    from recsk.nn.training import TrainingLog

__all__ = ["TrainedRecommender", "warn_if_unfinished"]

# Of a training that goes on: epochs, and the highest learning rate relative to that of a fit.
_N_EPOCHS = 1
_RATE = 0.25


class TrainedRecommender(FitPreparation):
    """A recommender whose vectors come out of a network that PyTorch trains.

    The ``fit`` of a subclass has four steps, each of which takes the result of the one before:
    `_prepare` checks and splits the data (a subclass provides `_training_set` and `_hold_out`),
    `_build` makes graphs and network, `_train` calls `_train_network`, and `_keep` ends with
    `_keep_log` and `_set_fitted`. :doc:`/contributing/add_an_estimator` has the hooks.
    """

    _parameter_constraints: dict[str, list[Any]] = {
        **BaseRecommender._parameter_constraints,
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "early_stopping": [StrOptions({"auto"}), "boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "eval_metric": [str],
        "device": [str],
        "precision": [StrOptions({"float32", "bfloat16"})],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # Parameters whose value in the paper is not the default.
    _paper: ClassVar[dict[str, Any]]
    # Parameters that the memory of a fit grows with, the first one the first to lower.
    _sizes: ClassVar[tuple[str, ...]]

    @classmethod
    def paper(cls, **params: Any) -> Self:
        """Make an estimator with the settings of its paper in place of the defaults.

        The docstring of the class names each setting ("Paper: ..."), those that `paper()` does not
        take over, and our choices where the paper leaves them open.

        Parameters
        ----------
        **params
            Parameters that differ from the paper's settings.

        Returns
        -------
        estimator
            Not fitted.

        Examples
        --------
        >>> from recsk import MDERecommender, MDSRecRecommender
        >>> MDERecommender.paper(alpha=0.3).loss
        'bpr'
        >>> MDSRecRecommender.paper().candidate_vectors
        'mean'
        """
        return cls(**{**cls._paper, **params})

    @contextmanager
    def _running(self, interactions: Interactions) -> Iterator[None]:
        """Run the steps after `_prepare`: torch in its default state, memory errors explained."""
        with network_state(training=True), self._explain_memory_errors(interactions):
            yield

    @contextmanager
    def _explain_memory_errors(self, interactions: Interactions) -> Iterator[None]:
        """Name the parameters to lower where the memory is not enough."""
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            import torch

            sizes = ", ".join(f"{name}={getattr(self, name)}" for name in self._sizes)
            if is_memory_error_of_device(error):
                raise torch.OutOfMemoryError(
                    f"the memory of device={self.device!r} was not enough for this fit: lower one "
                    f"of {sizes}, or choose device='cpu'"
                ) from error
            if not isinstance(error, MemoryError) and "allocate memory" not in str(error):
                raise
            users, items = (len(np.unique(x)) for x in (interactions.user, interactions.item))
            raise MemoryError(
                f"the memory was not enough for this fit: lower one of {sizes}. X has "
                f"{interactions.n_users} users x {interactions.n_items} items, of whom {users} "
                f"and {items} have interactions; ids with gaps lose them by "
                "Interactions.from_frame"
            ) from error

    def _train_network(
        self,
        prepared: Prepared[Any],
        network: torch.nn.Module,
        batches: Any,
        loss_terms: Callable[[Any], dict[str, torch.Tensor]],
        *,
        evaluate: Callable[[], float] | None,
        schedule: str = "constant",
        weight_averaging: float = 0.0,
        check: Callable[[], object] | None = None,
        before_epoch: Callable[[], None] | None = None,
        random_states: Sequence[Stateful | np.random.RandomState],
        processes: Processes | None = None,
    ) -> TrainingLog:
        """Train as the parameters say; `random_states` is all that training draws from or changes.

        `check` raises `NotFiniteError` where the network gives vectors that are not finite; it is
        called after each epoch without `evaluate`, so that such an epoch is never kept. With
        `processes` batches have a method ``share_of``; without, each process computes all of them.
        """
        from recsk.nn.precision import at_precision
        from recsk.nn.training import train

        continues = prepared.adds
        starts = network if prepared.growth is not None else None
        checkpoint = self._make_checkpoint(prepared, random_states, starts)
        leads = prepared.processes is None or prepared.processes.is_first
        return train(
            network,
            batches,
            at_precision(loss_terms, getattr(self, "precision", "float32"), prepared.device),
            max_epochs=_N_EPOCHS if continues else int(self.max_epochs),
            learning_rate=self.learning_rate * (_RATE if continues else 1),
            schedule="one-cycle" if continues else schedule,
            weight_averaging=weight_averaging,
            before_epoch=before_epoch,
            evaluate=evaluate,
            check=check,
            n_iter_no_change=int(self.n_iter_no_change),
            checkpoint=shared_checkpoint(checkpoint, prepared.processes),
            verbose=bool(self.verbose) and leads,
            processes=processes,
        )

    def _make_checkpoint(
        self,
        prepared: Prepared[Any],
        random_states: Sequence[Stateful | np.random.RandomState],
        starts: torch.nn.Module | None = None,
    ) -> Checkpoint | None:
        """Return the checkpoint of this training, or None if it was not asked for.

        `starts` is a network with weights of another fit, from which this one starts.
        """
        if prepared.checkpoint is None:
            return None
        import torch

        params = self.get_params(deep=False)
        del params["verbose"]
        data = prepared.train_set, prepared.held_out, prepared.modalities
        # Random states of one type of device do not fit another.
        kind = type(self).__name__, prepared.device.type, __version__, torch.__version__
        training: list[Any] = [kind, params, data]
        if starts is not None:
            training += [{name: x.cpu().numpy() for name, x in starts.state_dict().items()}]
        return Checkpoint(
            prepared.checkpoint, training=joblib.hash(training), random_states=random_states
        )

    def _ranking_device(self) -> str | None:
        return ranking_device(self.device)

    def _keep_log(self, prepared: Prepared[Any], log: TrainingLog) -> None:
        """Keep the course of the training."""
        self.modality_names_ = list(prepared.features)
        self.loss_curve_, self.validation_curve_ = log.loss_curve, log.validation_curve
        self.n_iter_, self.best_iter_ = log.n_iter, log.best_iter

    def _set_fitted(self, interactions: Interactions, learned: Learned) -> None:
        for vectors in (learned.user_vectors, learned.item_vectors):
            if vectors is not None and not np.isfinite(vectors).all():
                raise ValueError(
                    "training diverged: the vectors of users or items are not finite; lower "
                    f"learning_rate={self.learning_rate}, or scale down very large item_features"
                )
        super()._set_fitted(interactions, learned)

    def get_state(self) -> dict[str, Any]:
        """Return the fitted state for `recsk.save`."""
        return {
            **super().get_state(),
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

    def set_state(self, state: StateReader) -> None:
        """Set the state that `get_state` returned."""
        super().set_state(state)
        self._require_vectors()
        self.modality_names_ = state.strings("modality_names_")
        n_modalities = max(len(self.modality_names_), 1)
        self.user_preference_ = state.array("user_preference_", (self.n_users_, n_modalities))
        self.n_iter_ = state.integer("n_iter_", 0)
        self.best_iter_ = state.integer("best_iter_", 0, self.n_iter_)
        self.validation_curve_ = state.curve("validation_curve_")
        curves = state.part("loss_curve_")
        self.loss_curve_ = {term: curves.curve(term) for term in state.strings("loss_terms")}


def warn_if_unfinished(log: TrainingLog) -> None:
    """Warn where training ended before its time; after Ctrl-C, raise KeyboardInterrupt again."""
    state = f"the weights of epoch {log.best_iter}" if log.best_iter else "its initial weights"
    if log.stopped_by == "interrupt":
        raise KeyboardInterrupt(f"fit was interrupted; the estimator keeps {state}")
    if log.stopped_by == "non-finite":
        term = log.non_finite
        what = f"the loss term {term!r} was" if term else "the weights or vectors were"
        reason = f"{what} not finite in epoch {log.n_iter + 1} (try a lower learning_rate)"
    elif log.stopped_by == "no-batches":
        reason = "no user in X has two items, so that there is no next item to learn"
    elif log.improving:
        reason = (
            f"training ended at max_epochs={log.n_iter} while eval_metric was still improving "
            "(try more epochs)"
        )
    else:
        return
    warnings.warn(f"{reason}; the estimator keeps {state}", ConvergenceWarning, stacklevel=3)
