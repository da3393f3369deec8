"""Explanations of any recommender: forms of calls, frames, memory, parts that a class defines."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recsk import Interactions
from recsk.baselines import (
    BPRRecommender,
    ContentKNNRecommender,
    EASERecommender,
    ItemKNNRecommender,
    PopularRecommender,
    SequentialRulesRecommender,
)
from recsk.contract import BaseRecommender, Explanation, Learned, Users, explaining
from tests.contract.suite import HISTORIES, N_ITEMS, N_USERS, SEEN, TRAIN

RNG = np.random.default_rng(0)
FEATURES = {"image": RNG.normal(size=(N_ITEMS, 5)), "text": RNG.normal(size=(N_ITEMS, 3))}
FEATURES["text"][4] = np.nan
LABELLED = Interactions([0, 0, 1, 1, 1], [0, 1, 1, 2, 3], n_items=4).with_labels(
    ["anna", "ben"], ["cup", ("tea", "green"), "pot", "spoon"]
)


def total(why):
    return np.sum(list(why.parts.values()), axis=0)


class TestParts:
    def test_item_to_item_is_the_sum_over_the_history(self):
        model = EASERecommender(regularization=2.0).fit(TRAIN)
        why = model.explain([1, 3], np.arange(N_ITEMS))
        assert list(why.parts) == ["item-to-item"]
        expected = SEEN[[1, 3]].astype(float) @ model.item_to_item_
        np.testing.assert_allclose(why.parts["item-to-item"], expected, rtol=1e-4, atol=1e-6)

    def test_content_is_split_into_the_columns_of_each_modality(self):
        model = ContentKNNRecommender().fit(TRAIN, item_features=FEATURES)
        why = model.explain([2], [0, 4])
        user = SEEN[2] / SEEN[2].sum() @ model.item_embedding_
        for name, some in (("image", slice(0, 5)), ("text", slice(5, 8))):
            expected = model.item_embedding_[[0, 4], some] @ user[some]
            np.testing.assert_allclose(why.parts[f"{name}: content"][0], expected, atol=1e-6)
        assert why.parts["text: content"][0, 1] == 0  # it has no text

    def test_rules_with_both_parts(self):
        model = SequentialRulesRecommender(max_gap=3).fit(TRAIN, item_features=FEATURES)
        items, scores = model.recommend(k=5)
        why = model.explain(None, items)
        assert list(why.parts)[:3] == ["image: content", "text: content", "item-to-item"]
        np.testing.assert_allclose(total(why), scores, atol=1e-5)

    def test_bias_and_popularity(self):
        model = BPRRecommender(factors=4, iterations=5, random_state=0).fit(TRAIN)
        why = model.explain([0, 1], [3, 4])
        np.testing.assert_allclose(why.parts["bias"][0], model.item_embedding_[[3, 4], -1])
        popular = PopularRecommender().fit(TRAIN).explain([0], [3, 4])
        assert list(popular.parts) == ["popularity"]
        np.testing.assert_array_equal(popular.effects[0], 0)

    def test_a_class_may_add_parts(self):
        class WithPrice(ItemKNNRecommender):
            def score_block(self, users):
                return super().score_block(users) + self.price()

            def score_parts(self, users, rows, items):
                whole = super().score_parts(users, rows, items)["score"]
                price = self.price()[items]
                return {"item-to-item": whole - price, "price": price}

            def price(self):
                return np.linspace(0, 1, N_ITEMS, dtype=np.float32)

        why = WithPrice().fit(TRAIN).explain([0], [0, 23])
        np.testing.assert_array_equal(why.parts["price"], [[0, 1]])
        np.testing.assert_allclose(total(why), why.scores, atol=1e-6)

    def test_parts_that_do_not_add_up_are_an_error(self):
        class Wrong(ItemKNNRecommender):
            def score_parts(self, users, rows, items):
                return {"half": super().score_parts(users, rows, items)["item-to-item"] / 2}

        with pytest.raises(
            ValueError, match="score_parts of Wrong must add up to the score .* half"
        ):
            Wrong().fit(TRAIN).explain([0], np.arange(N_ITEMS))

    def test_blocks_of_pairs_and_of_histories_change_nothing(self, monkeypatch):
        model = ContentKNNRecommender().fit(TRAIN, item_features=FEATURES)
        at_once = model.explain(None, [1, 2])
        monkeypatch.setattr(explaining, "_PAIR_NUMBERS", 20)
        monkeypatch.setattr(explaining, "_MAX_VARIANTS", 3)
        in_blocks = model.explain(None, [1, 2])
        for name, part in at_once.parts.items():
            np.testing.assert_allclose(in_blocks.parts[name], part, rtol=1e-5, atol=1e-7)
        for one, other in zip(in_blocks.effects, at_once.effects, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)

    @settings(max_examples=25, deadline=None)
    @given(st.data())
    def test_parts_add_up_and_effects_are_differences(self, data):
        n_users, n_items = data.draw(st.integers(1, 6)), data.draw(st.integers(2, 7))
        rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
        matrix = rng.random((n_users, n_items)) < 0.5
        matrix[0, 0] = True
        vectors, between = rng.normal(size=(n_items, 2)), rng.normal(size=(n_items, n_items))
        between *= rng.random(between.shape) < 0.6

        class Both(BaseRecommender):
            def learn(self, data):
                return Learned(item_vectors=vectors, item_to_item=sparse.csr_matrix(between))

            def encode(self, histories):
                return Users(vectors=histories.to_csr() @ self.item_embedding_)

        model = Both().fit(sparse.csr_matrix(matrix.astype(float)))
        why = model.explain(None, np.arange(n_items))
        for user, history in enumerate(matrix.astype(float)):
            if not history.any():
                continue
            parts = (history @ vectors) @ vectors.T, history @ between
            np.testing.assert_allclose(why.parts["vectors"][user], parts[0], atol=1e-5)
            np.testing.assert_allclose(why.parts["item-to-item"][user], parts[1], atol=1e-5)
            np.testing.assert_allclose(why.scores[user], sum(parts), atol=1e-5)
            # Such scores are sums over the history: so are the effects.
            expected = vectors[history > 0] @ vectors.T + between[history > 0]
            np.testing.assert_allclose(why.effects[user], expected, atol=1e-4)


class TestForms:
    model = ItemKNNRecommender().fit(LABELLED)

    def test_labels_of_every_kind(self):
        why = self.model.explain("anna", ("tea", "green"))
        assert why.users.tolist() == ["anna"]
        assert why.items.tolist() == [[("tea", "green")]]
        assert why.history[0].tolist() == ["cup", ("tea", "green")]
        several = self.model.explain(["anna", "ben"], ["pot", "spoon"])
        assert several.items.tolist() == [["pot", "spoon"]] * 2

    def test_answers_of_recommend_with_their_padding(self):
        for users in (["ben", "anna"], "ben"):
            items, scores = self.model.recommend(users, k=4)
            why = self.model.explain(users, items)
            assert why.items.tolist() == np.atleast_2d(items).tolist()
            expected = np.where(np.isinf(scores), np.nan, scores)
            np.testing.assert_allclose(why.scores, np.atleast_2d(expected))
            missing = np.isnan(why.scores)
            assert missing.any()
            np.testing.assert_array_equal(np.isnan(total(why)), missing)
            assert all(
                np.isnan(x[:, row]).all() for x, row in zip(why.effects, missing, strict=True)
            )

    def test_lists_of_lists_are_tables_whatever_the_names(self):
        items, _ = self.model.recommend(["anna", "ben"], k=4)
        expected = self.model.explain(["anna", "ben"], items)
        for rows in (items.tolist(), list(items), tuple(items.tolist())):
            why = self.model.explain(["anna", "ben"], rows)
            assert why.items.tolist() == items.tolist()
            np.testing.assert_array_equal(why.scores, expected.scores)
        with pytest.raises(ValueError, match="rows of one length, padded with None"):
            self.model.explain(["anna", "ben"], [["cup", ("tea", "green")], ["pot"]])
        with pytest.raises(ValueError, match="one row for each of 2"):
            self.model.explain(["anna", "ben"], [["cup"]])

    def test_new_users_have_their_names(self):
        why = self.model.explain(None, ["pot"], user_items={"carl": ["cup"], "dora": []})
        assert why.users.tolist() == ["carl", "dora"]
        assert [list(history) for history in why.history] == [["cup"], []]
        assert why.parts["popularity"].tolist() == [[0], [0.5]]

    def test_frame(self):
        pd = pytest.importorskip("pandas")
        items, _ = self.model.recommend(["anna", "ben"], k=4)
        frame = self.model.explain(["anna", "ben"], items).to_frame()
        assert list(frame.columns) == ["user", "item", "kind", "name", "value"]
        ranking = self.model.recommend(["anna", "ben"], k=4, as_frame=True)
        parts = frame[frame["kind"] == "part"].groupby(["user", "item"])["value"].sum()
        scores = ranking.set_index(["user", "item"])["score"].sort_index()
        pd.testing.assert_series_equal(parts.sort_index(), scores, check_names=False)
        history = frame[(frame["kind"] == "history") & (frame["user"] == "anna")]
        assert history["name"].tolist() == ["cup", ("tea", "green")] * 2
        assert not frame["value"].isna().any()
        assert self.model.explain([], ["cup"]).to_frame().empty

    def test_ids_in_a_frame_are_ids(self):
        pytest.importorskip("pandas")
        model = ItemKNNRecommender().fit(TRAIN)
        frame = model.explain([2], [1, 5], history=False).to_frame()
        assert frame["item"].tolist() == [1, 5] and frame["user"].dtype.kind == "i"
        assert set(frame["kind"]) == {"part"}

    @pytest.mark.parametrize(
        ("users", "items", "error", "words"),
        [
            ([0, 1], np.zeros((3, 2), int), ValueError, "items must have one row for each of 2"),
            ([0], [[1.5]], TypeError, "items"),
            ([0], [-1], IndexError, "items has -1|-1"),
            ([0], [[N_ITEMS]], IndexError, str(N_ITEMS)),
            ([0, 1], [[1, 2], [3]], ValueError, "items must have rows of one length"),
            ([N_USERS], [0], IndexError, str(N_USERS)),
            ([0], np.zeros((1, 1, 1), int), ValueError, "items"),
        ],
    )
    def test_wrong_items_are_named(self, users, items, error, words):
        with pytest.raises(error, match=words):
            ItemKNNRecommender().fit(TRAIN).explain(users, items)

    def test_nothing_given_is_changed(self):
        items = np.array([[3, -1], [2, 1]])
        histories = [list(one) for one in HISTORIES]
        model = ItemKNNRecommender().fit(TRAIN)
        assert isinstance(model.explain([0, 1], items), Explanation)
        model.explain(None, [1], user_items=histories)
        assert items.tolist() == [[3, -1], [2, 1]]
        assert histories == [list(one) for one in HISTORIES]
