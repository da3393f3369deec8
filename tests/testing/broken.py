"""Estimators that break the contract, each in one way, by the check that has to say so."""

import warnings

import numpy as np
from scipy import sparse

from recsk import Interactions
from recsk.contract import Learned, Users
from tests.testing.estimators import Cooccurrence, Decomposition

# By the name of the first check that fails: the class, and words of the message.
BROKEN = []


def broken(check, *words, **options):
    def add(cls):
        BROKEN.append((cls, check, words, options))
        return cls

    return add


def changed_answer(change):
    """Return a method `recommend` whose answers, other than frames, are changed."""

    def recommend(self, user_ids=None, k=10, *, as_frame=False, **options):
        answer = Decomposition.recommend(self, user_ids, k, as_frame=as_frame, **options)
        return answer if as_frame else change(self, *(part.copy() for part in answer))

    return recommend


BEST = "check_recommend_gives_the_best_items_allowed[ids]"


@broken(BEST, "are not allowed", "exclude_seen=True")
class RecommendsSeenItems(Decomposition):
    def recommend(self, user_ids=None, k=10, *, exclude_seen=True, **options):
        return super().recommend(user_ids, k, exclude_seen=False, **options)


@broken(BEST, "filter_items")
class IgnoresFilterItems(Decomposition):
    def recommend(self, user_ids=None, k=10, *, filter_items=None, **options):
        return super().recommend(user_ids, k, **options)


@broken(BEST, "comes twice")
class ReturnsDuplicates(Decomposition):
    def _repeat(self, ids, scores):
        ids[..., 1:2], scores[..., 1:2] = ids[..., :1], scores[..., :1]
        return ids, scores

    recommend = changed_answer(_repeat)


@broken(BEST, "items must be an array of int64", "int32")
class ReturnsAnotherType(Decomposition):
    recommend = changed_answer(lambda self, ids, scores: (ids.astype(np.int32), scores))


@broken(BEST, "scores must be an array of float32", "float64")
class ReturnsScoresOfAnotherType(Decomposition):
    recommend = changed_answer(lambda self, ids, scores: (ids, scores.astype(np.float64)))


@broken(BEST, "must end in", "-1 with the score -inf")
class PadsWithZero(Decomposition):
    recommend = changed_answer(lambda self, ids, scores: (np.maximum(ids, 0), scores))


@broken(BEST, "must return a tuple of items and scores")
class ReturnsItemsAlone(Decomposition):
    recommend = changed_answer(lambda self, ids, scores: ids)


@broken(BEST, "scores beside those of rank_items")
class ShiftsScores(Decomposition):
    recommend = changed_answer(lambda self, ids, scores: (ids, scores + np.float32(1)))


@broken("check_rank_items[ids]", "beside recommend")
class RanksBackwards(Decomposition):
    def rank_items(self, user_ids, items):
        ids, scores = super().rank_items(user_ids, items)
        if len(items) > 10:
            return ids, scores
        return ids[..., ::-1], scores


@broken("check_similar_items[ids]", "the one that was asked is left out")
class IsSimilarToItself(Decomposition):
    def similar_items(self, item_ids, k=10):
        ids, scores = super().similar_items(item_ids, k - 1)
        return (
            np.concatenate([np.asarray(item_ids)[..., None], ids], axis=-1),
            np.concatenate([np.ones_like(scores[..., :1]), scores], axis=-1),
        )


@broken("check_a_batch_is_its_users_one_by_one[ids]", "user_items=", "beside its row of the batch")
class DependsOnTheBatch(Decomposition):
    def encode(self, histories):
        vectors = super().encode(histories).vectors
        return Users(vectors / len(vectors))


class OrdersTies(Cooccurrence):
    """Whose items of equal scores come in the order of a key."""

    def recommend(self, user_ids=None, k=10, *, as_frame=False, **options):
        answer = super().recommend(user_ids, k, as_frame=as_frame, **options)
        return answer if as_frame else self._reorder(*answer)

    def rank_items(self, user_ids, items):
        return self._reorder(*super().rank_items(user_ids, items))

    def _reorder(self, ids, scores):
        order = np.lexsort((self._key(scores.shape), -scores))
        return np.take_along_axis(ids, order, -1), np.take_along_axis(scores, order, -1)


@broken(
    "check_ties_are_in_the_order_of_the_items[ids]", "have the same score", "order of their ids"
)
class PutsTiesBackwards(OrdersTies):
    def _key(self, shape):
        return np.broadcast_to(-np.arange(shape[-1]), shape)


@broken("check_a_batch_is_its_users_one_by_one[ids]", "got ids")
class PutsTiesInRandomOrder(OrdersTies):
    def _key(self, shape):
        return np.random.default_rng().random(shape)


@broken("check_the_same_question_has_the_same_answer[ids]", "asked a second time")
class LearnsFromQuestions(Decomposition):
    """A little, so that answers are the same up to rounding."""

    def recommend(self, user_ids=None, k=10, *, user_items=None, **options):
        if user_ids is None and user_items is None and hasattr(self, "user_embedding_"):
            self.user_embedding_ *= np.float32(1 + 2e-7)
        return super().recommend(user_ids, k, user_items=user_items, **options)


@broken("check_fit_changes_none_of_its_arguments[ids]", "fit must return the estimator itself")
class ReturnsNothing(Decomposition):
    def fit(self, X, y=None, **options):
        super().fit(X, y, **options)


@broken("check_parameters_and_clone[ids]", "__init__ stores each parameter")
class CannotBeCloned(Decomposition):
    def __init__(self, *, n_factors=8, score_k=10, random_state=0):
        super().__init__(n_factors=[n_factors], score_k=score_k, random_state=random_state)


@broken("check_parameters_and_clone[ids]", "set_params must return")
class SetsParametersOfNothing(Decomposition):
    def set_params(self, **params):
        super().set_params(**params)


@broken("check_wrong_parameters_are_named[ids]", "n_factors=object()", "names n_factors")
class AcceptsAnyParameter(Decomposition):
    def _validate_params(self):
        pass

    def learn(self, data):
        if not isinstance(self.n_factors, int):
            self.n_factors = 8
        return super().learn(data)


@broken("check_fit_changes_none_of_its_arguments[ids]", "fit changed a parameter")
class ChangesItsParameters(Decomposition):
    def learn(self, data):
        learned = super().learn(data)
        self.n_factors = learned.item_vectors.shape[1] + 1
        return learned


@broken("check_fit_changes_none_of_its_arguments[ids]", "read-only")
class ChangesX(Decomposition):
    def fit(self, X, y=None, **options):
        if sparse.issparse(X) and X.format == "csr":
            X.data[:] = np.log1p(X.data)
        return super().fit(X, y, **options)


@broken("check_fit_changes_none_of_its_arguments[ids]", "fit changed one of X, item_features")
class AddsToTheFeatures(Decomposition):
    def fit(self, X, y=None, *, item_features=None, sample_weight=None):
        super().fit(X, y, item_features=item_features, sample_weight=sample_weight)
        if item_features:
            item_features["more"] = np.ones((self.n_features_in_, 1))
        return self


@broken("check_the_same_seed_gives_the_same_model[ids]", "a second fit with the same random_state")
class IgnoresTheSeed(Decomposition):
    def learn(self, data):
        vectors = np.random.default_rng().normal(size=(data.matrix.shape[1], 3))
        return Learned(item_vectors=vectors)


@broken("check_a_second_fit_forgets_the_first[ids]", "a second fit must leave nothing of the first")
class RemembersTheFirstFit(Decomposition):
    def learn(self, data):
        if data.matrix.shape[1] == 20:
            self.small_ = True
        return super().learn(data)


@broken("check_the_smallest_problems[ids]", "after fit on")
class IsNotFiniteForOneItem(Decomposition):
    def learn(self, data):
        learned = super().learn(data)
        if data.matrix.shape[1] > 1:
            return learned
        return Learned(item_vectors=np.full((1, 1), np.nan), user_vectors=np.ones((1, 1)))


@broken("check_nothing_warns[ids]", "must not warn", "a word to the wise")
class Warns(Decomposition):
    def learn(self, data):
        warnings.warn("a word to the wise", stacklevel=2)
        return super().learn(data)


@broken("check_silent_unless_asked[ids]", "must print nothing", "epoch 1")
class Prints(Decomposition):
    def learn(self, data):
        print("epoch 1")
        return super().learn(data)


@broken("check_histories_in_every_form[ids]", "lists with an item twice")
class CountsRepeats(Decomposition):
    def encode(self, histories):
        rows = np.zeros((histories.n_users, histories.n_items), dtype=np.float32)
        np.add.at(rows, (histories.user, histories.item), 1)
        return Users(vectors=rows @ self.item_embedding_)


@broken("check_popular_items_without_a_history[ids]", "without history")
class RecommendsTheFirstItemsToNewUsers(Decomposition):
    def _popularity_vectors(self):
        vectors = np.linspace(1, 0.1, self.n_features_in_, dtype=np.float32)[:, None]
        return np.ones((1, 1), dtype=np.float32), vectors


@broken("check_items_for_each_user[ids]", "recommend(exclude_seen=True, items as boolean masks)")
class UnitesTheItemsOfAllUsers(Decomposition):
    def recommend(self, user_ids=None, k=10, *, items=None, **options):
        if isinstance(items, np.ndarray) and items.ndim == 2:
            items = np.flatnonzero(items.any(axis=0))
        return super().recommend(user_ids, k, items=items, **options)


@broken("check_the_best_users_for_items[ids]", "recommend_users(k=1, exclude_seen=True")
class RecommendsUsersWhoHaveSeenTheItem(Decomposition):
    def recommend_users(self, items, k=10, *, exclude_seen=True, **options):
        return super().recommend_users(items, k, exclude_seen=False, **options)


@broken("check_user_vectors[ids]", "must be float32")
class HasVectorsOfAnotherType(Decomposition):
    def user_vectors(self, user_ids=None, **options):
        return super().user_vectors(user_ids, **options).astype(np.float64)


@broken("check_scores_are_the_sum_of_their_parts[ids]", "user_vectors @ item_embedding_.T")
class ScalesVectors(Decomposition):
    def user_vectors(self, user_ids=None, **options):
        return 2 * super().user_vectors(user_ids, **options)


@broken("check_wrong_arguments_are_named[ids]", "recommend([-1])", "IndexError")
class TakesNegativeUsers(Decomposition):
    def recommend(self, user_ids=None, k=10, **options):
        if user_ids is not None and hasattr(self, "n_users_") and not hasattr(self, "users_"):
            user_ids = np.asarray(user_ids) % self.n_users_
        return super().recommend(user_ids, k, **options)


@broken("check_an_unfitted_estimator_says_so[ids]", "recommend(0)", "not fitted", "AttributeError")
class IsNotAskedWhetherFitted(Decomposition):
    def recommend(self, user_ids=None, k=10, **options):
        k = min(k, 10 * self.n_features_in_)
        return super().recommend(user_ids, k, **options)


@broken("check_weight_zero_is_no_interaction[ids]", "weights of zero")
class CountsUsersOfWeightZero(Decomposition):
    def fit(self, X, y=None, *, item_features=None, sample_weight=None):
        self.n_rows_ = getattr(X, "shape", (0,))[0]
        return super().fit(X, y, item_features=item_features, sample_weight=sample_weight)


@broken("check_weights_change_the_model[ids]", "gives the model of the fit without weights")
class IgnoresWeights(Decomposition):
    def fit(self, X, y=None, *, item_features=None, sample_weight=None):
        return super().fit(X, y, item_features=item_features)


@broken("check_score_is_the_metric_on_held_out_interactions[ids]", "beside evaluate")
class ScoresByItself(Decomposition):
    def score(self, X, y=None, sample_weight=None):
        return 0.5 * super().score(X, y)


@broken("check_pickled_it_answers_the_same[ids]", "pickle.dumps", "raised")
class CannotBePickled(Decomposition):
    def learn(self, data):
        self.activation_ = lambda x: x
        return super().learn(data)


@broken(
    "check_in_a_file_without_pickle_it_answers_the_same[ids]", "raised AttributeError", "scale_"
)
class IsNotWholeInAFile(Decomposition):
    def learn(self, data):
        self.scale_ = 2.0
        return super().learn(data)

    def encode(self, histories):
        return Users(vectors=super().encode(histories).vectors * np.float32(self.scale_))


@broken(
    "check_in_a_file_without_pickle_it_answers_the_same[ids]",
    "recsk.save",
    "register_estimator",
    registered=False,
)
class IsNotRegistered(Decomposition):
    pass


@broken("check_parts_add_up_to_the_score[ids]", "score_parts", "must add up")
class CountsOnePartTwice(Decomposition):
    def score_parts(self, users, rows, items):
        vectors = super().score_parts(users, rows, items)["vectors"]
        return {"vectors": vectors, "again": vectors}


@broken("check_diverse_lists_are_of_the_items_allowed[ids]", "diversity=0.5", "the first items")
class DiverseListsHaveSeenItems(Decomposition):
    def recommend(self, user_ids=None, k=10, *, exclude_seen=True, diversity=None, **options):
        options["exclude_seen"] = exclude_seen and not diversity
        return super().recommend(user_ids, k, diversity=diversity, **options)


@broken("check_finds_what_a_checkerboard_withholds[ids]", "checkerboard", "recommend(k=1)")
class LearnsNothing(Decomposition):
    def learn(self, data):
        vectors = np.random.default_rng(0).normal(size=(data.matrix.shape[1], 3))
        return Learned(
            item_vectors=vectors * (1 + np.asarray(data.matrix.sum(axis=0)).reshape(-1, 1))
        )


@broken("check_recommend_gives_the_best_items_allowed[labels]", "must return labels")
class AnswersInIds(Decomposition):
    def recommend(self, user_ids=None, k=10, *, as_frame=False, **options):
        answer = super().recommend(user_ids, k, as_frame=as_frame, **options)
        if as_frame or not hasattr(self, "items_"):
            return answer
        position = {label: i for i, label in enumerate(self.items_.tolist())} | {None: -1}
        ids = np.array([position[label] for label in answer[0].ravel()], dtype=np.int64)
        return ids.reshape(answer[0].shape), answer[1]


@broken("check_held_out_data_are_matched_by_label[ids]", "the model was fitted on ids")
class IgnoresLabels(Decomposition):
    def fit(self, X, y=None, **options):
        if getattr(X, "user_labels", None) is not None:
            shape = {"n_users": X.n_users, "n_items": X.n_items}
            X = Interactions(X.user, X.item, timestamp=X.timestamp, value=X.value, **shape)
        return super().fit(X, y, **options)


@broken("check_added_items_are_recommended[ids]", "n_features_in_")
class AddsNothing(Decomposition):
    def item_vectors(self, item_features):
        return self.item_embedding_[:3]

    def add_items(self, item_features, labels=None):
        n = self.n_features_in_
        return np.arange(n, n + 3) if labels is None else labels


@broken("check_partial_fit_knows_what_comes_later[ids]", "interactions_")
class LearnsTheNewAlone(Decomposition):
    def partial_fit(self, X, y=None, **options):
        return self.fit(X, y, **options)
