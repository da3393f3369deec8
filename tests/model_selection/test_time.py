from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsk import Interactions
from recsk.model_selection import LeaveLastOut, TemporalSplit


class TestLeaveLastOut:
    X = Interactions(
        [0, 1, 0, 0, 1, 0, 2], np.arange(7), timestamp=[1, 9, 4, 3, 8, 2, 5], n_users=4
    )

    def splits(self, **parameters):
        return [(a.tolist(), b.tolist()) for a, b in LeaveLastOut(**parameters).split(self.X)]

    def test_the_last_interaction_of_each_user_is_held_out(self):
        assert self.splits() == [([0, 3, 4, 5, 6], [1, 2])]

    def test_several_last_interactions_are_held_out_but_never_the_first(self):
        assert self.splits(n_last=2) == [([0, 4, 5, 6], [1, 2, 3])]
        assert self.splits(n_last=10) == [([0, 4, 6], [1, 2, 3, 5])]

    def test_earlier_splits_do_not_see_later_interactions(self):
        first, second = self.splits(n_splits=2)
        assert second == self.splits()[0]
        assert first == ([0, 4, 5, 6], [3])  # 1 and 2 are later, and dropped

    def test_equal_times_keep_the_order_of_the_input(self):
        X = Interactions([0, 0, 0], [0, 1, 2], timestamp=[1, 1, 1])
        assert next(LeaveLastOut().split(X))[1].tolist() == [2]

    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=25))
    def test_the_split_equals_a_loop_over_users(self, rows):
        user, time = (np.array(column) for column in zip(*rows, strict=True))
        # Different items: repeats of one item would now be left out of the test set.
        X = Interactions(user, np.arange(len(rows)), timestamp=time)
        expected_test = []
        for u in set(user.tolist()):
            history = sorted((t, row) for row, (v, t) in enumerate(rows) if v == u)
            expected_test += [row for _, row in history[1:][-2:]]
        if expected_test:
            train, test = next(LeaveLastOut(n_last=2).split(X))
            assert sorted(expected_test) == test.tolist()
            assert len(train) + len(test) == len(rows)


class TestTemporalSplit:
    def test_all_users_are_split_at_one_time(self, interactions):
        train, test = next(TemporalSplit(test_size=0.25).split(interactions))
        time = interactions.timestamp
        assert time[train].max() < time[test].min()
        assert 190 <= len(test) <= 215 and len(train) + len(test) == 800

    def test_training_windows_expand(self, interactions):
        splits = list(TemporalSplit(n_splits=3, test_size=0.2).split(interactions))
        for (train, test), (next_train, _) in pairwise(splits):
            np.testing.assert_array_equal(np.sort(np.r_[train, test]), next_train)

    def test_equal_times_stay_together(self):
        X = Interactions([0] * 6, range(6), timestamp=[0, 1, 1, 1, 1, 1])
        train, test = next(TemporalSplit(test_size=0.2).split(X))
        assert (train.tolist(), test.tolist()) == ([0], [1, 2, 3, 4, 5])

    def test_users_without_training_interactions_are_left_out(self):
        X = Interactions([0, 0, 1, 1], [0, 1, 0, 1], timestamp=[0, 3, 2, 4])
        train, test = next(TemporalSplit(test_size=0.5).split(X))
        assert (train.tolist(), test.tolist()) == ([0, 2], [1, 3])
        X = Interactions([0, 0, 1, 1], [0, 1, 0, 1], timestamp=[0, 1, 2, 3])
        with pytest.raises(ValueError, match="leaves nothing to test"):
            next(TemporalSplit(test_size=0.5).split(X))

    @pytest.mark.parametrize(("times", "n_splits"), [([7] * 6, 1), ([1, 1, 7, 7, 7, 7], 2)])
    def test_too_many_interactions_at_one_time_are_rejected(self, times, n_splits):
        X = Interactions([0, 1] * 3, range(6), timestamp=times)
        with pytest.raises(ValueError, match="too many interactions share the time 7"):
            next(TemporalSplit(n_splits=n_splits).split(X))

    def test_too_many_splits_are_rejected(self, interactions):
        with pytest.raises(ValueError, match="n_splits=5 test sets of 160 leave none of the 800"):
            next(TemporalSplit(n_splits=5).split(interactions))
