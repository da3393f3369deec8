"""Content of items as vectors of length one, for items that arrive later too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsk.ranking.vectors import unit_rows

__all__ = ["ContentSpace"]

Floats = npt.NDArray[np.float32]
# Standard deviations from the mean: rows beyond it would not be finite where they are squared.
_FARTHEST = 1e15


@dataclass(frozen=True)
class ContentSpace:
    r"""Puts standardized features of all modalities side by side; every modality counts the same.

    Columns are standardized by the items of the fit. Embeddings from a network often share a large
    common direction, which makes all cosines nearly equal; this removes it.

    Attributes
    ----------
    means, deviations : dict of str to ndarray of shape (n_columns,), float32
        Of the columns of each modality, over the items that have it.

    Examples
    --------
    >>> import numpy as np
    >>> from recsk.features.content_space import ContentSpace
    >>> features = {"text": np.float32([[1, 0], [3, 0]]), "image": np.float32([[5], [np.nan]])}
    >>> space = ContentSpace.from_features(features)
    >>> space.vectors({"text": np.float32([[2, 0], [9, 0]])})
    array([[0., 0., 0.],
           [1., 0., 0.]], dtype=float32)
    """

    means: dict[str, Floats]
    deviations: dict[str, Floats]

    @classmethod
    def from_features(cls, features: Mapping[str, Floats]) -> ContentSpace:
        """Measure the columns of features; a row of NaN is an item without the modality."""
        means, deviations = {}, {}
        for name, values in features.items():
            # In float64, because squares of large finite values overflow float32.
            rows = values[~np.isnan(values[:, 0])].astype(np.float64)
            means[name] = rows.mean(axis=0).astype(np.float32)
            deviation = rows.std(axis=0).astype(np.float32)
            # Rounding of a constant column is no deviation.
            rounding = np.abs(means[name]) * np.finfo(np.float32).eps
            deviations[name] = np.where(deviation > rounding, deviation, np.float32(1))
        return cls(means, deviations)

    @property
    def n_columns(self) -> dict[str, int]:
        """Columns of each modality."""
        return {name: len(mean) for name, mean in self.means.items()}

    def check(self, features: Mapping[str, Floats]) -> None:
        """Raise a ValueError if a row is too far from all items of the fit to compute with."""
        for name, rows in features.items():
            far = np.nan_to_num(np.abs(self.standardize(name, rows)))
            if (far > _FARTHEST).any():
                place = np.unravel_index(np.argmax(far), far.shape)
                raise ValueError(
                    f"item_features[{name!r}] has the value {rows[place]:g}, which is "
                    f"{far[place]:.0e} standard deviations from the mean of the fit; expected at "
                    f"most {_FARTHEST:.0e}. Is it a code for a missing value? An item without "
                    "this modality has a row of NaN"
                )

    def vectors(self, features: Mapping[str, Floats]) -> Floats:
        """Compute vectors of items.

        Parameters
        ----------
        features : mapping of str to ndarray of shape (n, n_columns), float32
            A row of NaN is an item without the modality; a modality may be left out. Not changed.

        Returns
        -------
        ndarray of shape (n, sum of the columns), float32
            Of length one; zero for an item without any modality.
        """
        n = len(next(iter(features.values())))
        parts = []
        for name, mean in self.means.items():
            if name not in features:
                parts.append(np.zeros((n, len(mean)), dtype=np.float32))
                continue
            rows = self.standardize(name, features[name])
            parts.append(unit_rows(np.nan_to_num(rows, nan=0.0)).astype(np.float32))
        return np.asarray(unit_rows(np.hstack(parts)), dtype=np.float32)

    def lengths(self, features: Mapping[str, Floats]) -> Floats:
        """Measure the lengths of standardized rows, (n, n_modalities); NaN for missing ones."""
        n = len(next(iter(features.values())))
        lengths = np.full((n, len(self.means)), np.nan, dtype=np.float32)
        for m, name in enumerate(self.means):
            if name in features:
                rows = self.standardize(name, features[name])
                lengths[:, m] = np.linalg.norm(rows, axis=1)
        return lengths

    def features(self, vectors: Floats, lengths: Floats) -> dict[str, Floats]:
        """Return the features that `vectors` and `lengths` were computed from, up to rounding."""
        found = {}
        cuts = np.cumsum(list(self.n_columns.values()))[:-1]
        parts = zip(self.means.items(), np.split(vectors, cuts, axis=1), lengths.T, strict=True)
        for (name, mean), part, length in parts:
            rows = unit_rows(part.astype(np.float64)) * length[:, None]
            found[name] = (rows * self.deviations[name] + mean).astype(np.float32)
        return found

    def standardize(self, name: str, rows: Floats) -> npt.NDArray[np.float64]:
        """Return features of one modality by the means and deviations of the fit."""
        # In float64, because large finite values overflow float32.
        return (rows.astype(np.float64) - self.means[name]) / self.deviations[name]
