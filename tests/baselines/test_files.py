"""Files of baselines that were changed by hand, with a checksum that is right again."""

import numpy as np
import pytest

import recsk
from recsk.baselines import ALSRecommender, BPRRecommender, ItemKNNRecommender
from tests.contract.suite import N_ITEMS, N_USERS, TRAIN
from tests.storage.forging import check_rejected, read_parts


def parts(est, tmp_path):
    recsk.save(est.fit(TRAIN), tmp_path / "model")
    return read_parts((tmp_path / "model").read_bytes())


@pytest.mark.parametrize(
    "est",
    [ALSRecommender(factors=4, random_state=0), BPRRecommender(factors=4, random_state=0)],
    ids=lambda est: type(est).__name__,
)
def test_a_model_of_vectors_without_vectors_is_rejected(est, tmp_path):
    def change(document, arrays):
        del arrays["user_embedding_"], arrays["item_embedding_"]
        arrays["item_to_item_"] = np.zeros((N_ITEMS, N_ITEMS), dtype=np.float32)

    document, arrays = parts(est, tmp_path)
    check_rejected(tmp_path / "model", document, arrays, change, "'user_embedding_' is missing")


CHANGES = {
    "nothing to score by": (
        lambda a: [a.pop(f"item_to_item_.{part}") for part in ("indptr", "indices", "data")],
        "has nothing to score by",
    ),
    "weights of another length": (
        lambda a: a.update({"item_to_item_.data": a["item_to_item_.data"][1:]}),
        r"item_to_item_\.data has shape",
    ),
    "weights that are not finite": (
        lambda a: a.update({"item_to_item_.data": a["item_to_item_.data"] * np.float32(np.nan)}),
        r"item_to_item_\.data must be finite",
    ),
    "an item out of range": (
        lambda a: a["item_to_item_.indices"].__setitem__(slice(None), N_ITEMS),
        r"item_to_item_\.indices go beyond",
    ),
    "a dense term of another shape": (
        lambda a: a.update(
            {"history_weights_": np.zeros((N_USERS, N_ITEMS + 1), dtype=np.float32)}
        ),
        "history_weights_ must be of shape",
    ),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_item_to_item_weights_are_checked(change, message, tmp_path):
    document, arrays = parts(ItemKNNRecommender(n_neighbors=5), tmp_path)
    check_rejected(tmp_path / "model", document, arrays, lambda d, a: change(a) and None, message)
