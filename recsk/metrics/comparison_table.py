"""The result of a comparison: as a frame, as LaTeX, as text, and the values by user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recsk.data.checks import check_positive_int
from recsk.data.optional import import_pandas
from recsk.metrics.hits import Floats

__all__ = ["Comparison", "Row"]

_NAN = float("nan")


class Row(NamedTuple):
    """A model's value of a metric, and its difference from the baseline; NaN where there is none.

    The fields are the columns of :attr:`Comparison.frame`.
    """

    metric: str
    k: int
    model: str
    mean: float = _NAN
    standard_error: float = _NAN
    n_users: int = 0
    difference: float = _NAN
    low: float = _NAN
    high: float = _NAN
    p: float = _NAN
    p_holm: float = _NAN
    p_wilcoxon: float = _NAN


class Comparison:
    """The table of :func:`~recsk.metrics.compare`, which makes it.

    Parameters
    ----------
    rows : sequence of Row
        The table, ordered by metric, k and model.
    users : ndarray of shape (n_users,)
        The users, as labels where the models speak labels, else as ids.
    values : dict of str to dict of str to ndarray of shape (n_users,)
        Values by user, such as ``values["mde"]["ndcg@10"]``; NaN where one is not defined.
    baseline : str
        The model that the others are compared with.
    method : {"sign-flip", "bootstrap"}
        The test of the mean difference.
    n_resamples : int
        Of the test and the interval.
    confidence_level : float
        Of the intervals.
    directions : dict of str to bool or None
        Whether higher is better, by metric; None where neither direction is.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.sparse import csr_array
    >>> from recsk.metrics import compare
    >>> class Favourites:
    ...     def __init__(self, order):
    ...         self.order = np.array(order)
    ...
    ...     def recommend(self, user_ids, k=10, *, exclude_seen=True):
    ...         return np.tile(self.order[:k], (len(user_ids), 1)), np.zeros((len(user_ids), k))
    >>> X_test = csr_array(np.eye(3, dtype=int)[[0, 0, 0, 1]])
    >>> models = {"first": Favourites([0, 1, 2]), "last": Favourites([2, 1, 0])}
    >>> comparison = compare(models, X_test, "recall", k=1, random_state=0)
    >>> comparison.frame[["model", "mean", "difference", "p"]]
       model  mean  difference     p
    0  first  0.75         NaN   NaN
    1   last  0.00       -0.75  0.25
    >>> comparison.values["first"]["recall@1"]
    array([1., 1., 1., 0.])
    """

    def __init__(
        self,
        *,
        rows: Sequence[Row],
        users: npt.NDArray[Any],
        values: Mapping[str, Mapping[str, Floats]],
        baseline: str,
        method: str,
        n_resamples: int,
        confidence_level: float,
        directions: Mapping[str, bool | None],
    ) -> None:
        self.rows = rows
        self.users = users
        self.values = values
        self.baseline = baseline
        self.method = method
        self.n_resamples = n_resamples
        self.confidence_level = confidence_level
        self.directions = directions

    @property
    def models(self) -> list[str]:
        """Names of the models, in the order of the call."""
        return list(self.values)

    @property
    def columns(self) -> list[tuple[str, int]]:
        """Pairs of metric and k, in the order of the call."""
        return list(dict.fromkeys((row.metric, row.k) for row in self.rows))

    @property
    def frame(self) -> Any:
        """The table as a pandas DataFrame.

        One row for each metric, k and model: ``metric``, ``k``, ``model``, ``mean``,
        ``standard_error`` of the mean, ``n_users``, and, except for the baseline, ``difference`` of
        the means, ``low`` and ``high`` of its bootstrap interval, ``p`` of the paired test,
        ``p_holm`` corrected over all rows, and ``p_wilcoxon``.
        """
        return import_pandas("frame").DataFrame(self.rows, columns=list(Row._fields))

    @property
    def by_user(self) -> Any:
        """The values by user as a pandas DataFrame with columns (model, metric@k)."""
        pd = import_pandas("by_user")
        columns = {
            (model, key): values
            for model, found in self.values.items()
            for key, values in found.items()
        }
        frame = pd.DataFrame(columns, index=pd.Index(self.users, name="user"))
        frame.columns = pd.MultiIndex.from_tuples(list(columns), names=["model", "metric"])
        return frame

    def is_significant(self, row: Row) -> bool:
        """Whether the corrected p of a row is below one minus the confidence level."""
        return bool(row.p_holm < 1 - self.confidence_level)

    def to_latex(self, *, digits: int = 4, errors: bool = True, **kwargs: Any) -> str:
        r"""Return a LaTeX table: a row for each model, a column for each metric and k.

        The best mean of a column is bold. An asterisk marks a significant difference from the
        baseline: a Holm-corrected p below one minus the confidence level. The table needs
        ``\usepackage{booktabs}``.

        Parameters
        ----------
        digits : int, default=4
            Digits after the decimal point.
        errors : bool, default=True
            Whether standard errors follow the means.
        **kwargs
            For pandas' ``Styler.to_latex``, such as ``caption`` and ``label``.

        Returns
        -------
        table : str

        Raises
        ------
        ImportError
            If pandas or jinja2 is not installed.
        """
        digits = check_positive_int(digits, "digits")
        pd = import_pandas("to_latex")
        cells: dict[str, dict[str, str]] = {}
        best = {row for column in self.columns for row in self._best_rows(column, digits)}
        for row in self.rows:
            text = f"{row.mean:.{digits}f}"
            text = rf"\textbf{{{text}}}" if row in best else text
            if errors and not np.isnan(row.standard_error):
                text += rf" $\pm$ {row.standard_error:.{digits}f}"
            text += "$^{*}$" if self.is_significant(row) else ""
            cells.setdefault(f"{row.metric}@{row.k}", {})[row.model] = text
        frame = pd.DataFrame(cells, index=self.models)
        try:
            style = frame.style
        except (ImportError, AttributeError) as error:  # pandas hides the first in the second
            raise ImportError("to_latex needs jinja2: pip install jinja2") from error
        style = style.format_index(escape="latex").format_index(escape="latex", axis=1)
        layout = {"hrules": True, "column_format": "l" + "r" * len(cells)}
        return style.to_latex(**{**layout, **kwargs})

    def _best_rows(self, column: tuple[str, int], digits: int) -> list[Row]:
        """Return the rows with the best mean of a column, ties as printed included."""
        direction = self.directions[column[0]]
        rows = [row for row in self.rows if (row.metric, row.k) == column]
        rows = [row for row in rows if not np.isnan(row.mean)]
        if direction is None or not rows:
            return []
        values = [round(row.mean, digits) for row in rows]
        best = max(values) if direction else min(values)
        return [row for row, value in zip(rows, values, strict=True) if value == best]

    def __repr__(self) -> str:
        """Show the table as text."""
        lines = [
            f"Comparison of {len(self.models)} models on {len(self.users)} users, differences "
            f"from {self.baseline}"
        ]
        width = max(map(len, self.models))
        for column in self.columns:
            lines.append(f"{column[0]}@{column[1]}")
            for row in self.rows:
                if (row.metric, row.k) == column:
                    lines.append(f"  {row.model:<{width}}  {self._describe(row)}")
        return "\n".join(lines)

    def _describe(self, row: Row) -> str:
        text = f"{row.mean:.4f}"
        if not np.isnan(row.standard_error):
            text += f" ± {row.standard_error:.4f}"
        if row.model == self.baseline:
            return text
        text += f"  {row.difference:+.4f}"
        if not np.isnan(row.low):
            text += f" [{row.low:.4f}, {row.high:.4f}]"
        if not np.isnan(row.p):
            p, corrected, wilcoxon = map(_format_p, (row.p, row.p_holm, row.p_wilcoxon))
            text += f"  p={p} Holm {corrected} Wilcoxon {wilcoxon}"
            text += " *" if self.is_significant(row) else ""
        return text


def _format_p(p: float) -> str:
    return f"{p:.4f}" if p >= 5e-5 else f"{p:.0e}"
