import numpy as np
import pytest

from recsk import Interactions
from recsk.model_selection import InteractionKFold, RandomHoldout


class TestRandomHoldout:
    def test_sizes_are_rounded_and_one_interaction_stays_in_training(self):
        counts = np.arange(1, 12)
        # Different items: repeats of one item would now stay on one side.
        X = Interactions(np.repeat(np.arange(11), counts), np.arange(counts.sum()))
        for size, expected in [
            (0.2, [0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2]),
            (0.9, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ]:
            _, test = next(RandomHoldout(test_size=size, random_state=0).split(X))
            np.testing.assert_array_equal(np.bincount(X.user[test], minlength=11), expected)

    def test_halves_round_up_even_if_floats_are_just_below_them(self):
        X = Interactions(np.zeros(50, int), np.arange(50))
        assert len(next(RandomHoldout(test_size=0.29, random_state=0).split(X))[1]) == 15  # 14.5

    def test_splits_differ_and_test_every_interaction_equally_often(self):
        X = Interactions(np.zeros(10, int), np.arange(10))
        cv = RandomHoldout(n_splits=2000, test_size=0.3, random_state=0)
        times_tested = np.bincount(np.concatenate([test for _, test in cv.split(X)]), minlength=10)
        assert times_tested.sum() == 6000
        assert abs(times_tested - 600).max() < 100  # five standard deviations

    def test_random_state_determines_the_split(self, interactions):
        def get_test(state):
            return next(RandomHoldout(random_state=state).split(interactions))[1].tolist()

        assert get_test(0) == get_test(np.random.RandomState(0)) != get_test(1)
        assert get_test(None) != get_test(None)

    def test_train_and_test_cover_all_interactions(self, interactions):
        train, test = next(RandomHoldout(random_state=0).split(interactions))
        np.testing.assert_array_equal(np.sort(np.r_[train, test]), np.arange(800))


class TestInteractionKFold:
    def test_interactions_are_tested_once_except_those_of_users_with_one(self):
        user = np.r_[np.repeat(np.arange(50), 7), 50, 51]
        # Different items: repeats of one item would now stay in one fold.
        X = Interactions(user, np.arange(len(user)))
        tests = [test for _, test in InteractionKFold(random_state=0).split(X)]
        np.testing.assert_array_equal(np.sort(np.concatenate(tests)), np.arange(350))
        for test in tests:  # 7 interactions over 5 folds: 1 or 2 of each user in each fold
            assert set(np.bincount(X.user[test], minlength=50)[:50]) <= {1, 2}
            assert 55 < len(test) < 85

    @pytest.mark.parametrize("seed", range(20))
    def test_fold_sizes_differ_by_at_most_one(self, seed):
        X = Interactions(np.repeat([0, 1, 2], 3), np.tile([0, 1, 2], 3))
        sizes = [len(test) for _, test in InteractionKFold(5, random_state=seed).split(X)]
        assert sorted(sizes) == [1, 2, 2, 2, 2]

    def test_train_is_the_complement_of_test(self, interactions):
        for train, test in InteractionKFold(random_state=0).split(interactions):
            assert len(train) + len(test) == 800
