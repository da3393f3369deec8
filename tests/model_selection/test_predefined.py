import numpy as np
import pytest
import sklearn.model_selection

from recsk.model_selection import PredefinedInteractionSplit


class TestPredefinedInteractionSplit:
    def test_splits_are_those_of_scikit_learn(self, interactions):
        labels = np.arange(800) % 4 - 1
        theirs = sklearn.model_selection.PredefinedSplit(labels)
        ours = PredefinedInteractionSplit(labels.tolist())
        assert ours.get_n_splits() == theirs.get_n_splits() == 3
        for a, b in zip(ours.split(interactions), theirs.split(), strict=True):
            np.testing.assert_array_equal(a[0], b[0])
            np.testing.assert_array_equal(a[1], b[1])

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ([0, 1], "got 2 labels and 800 interactions"),
            (np.full(800, -1), "labels have no test set"),
            (np.full(800, -2), "labels must be -1 or more; got -2"),
            (np.zeros(800), "labels must be 1-D and hold integers; got 1 axes of float64"),
        ],
    )
    def test_wrong_labels_are_rejected(self, labels, message, interactions):
        with pytest.raises(ValueError, match=message):
            next(PredefinedInteractionSplit(labels).split(interactions))
