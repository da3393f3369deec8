"""`load` with ``mmap=True``: the same model, whose arrays stay in the file."""

import json
import mmap
import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

import recsk
from recsk.baselines import (
    ALSRecommender,
    BPRRecommender,
    ContentKNNRecommender,
    EASERecommender,
    ItemKNNRecommender,
    PopularRecommender,
    RP3betaRecommender,
    SequentialRulesRecommender,
)
from tests.contract.suite import FEATURES, TEST, TRAIN, answers
from tests.storage.forging import forge, replace_at
from tests.storage.models import fitted

RULES = [
    ALSRecommender(factors=4, random_state=0),
    BPRRecommender(factors=4, random_state=0),
    ContentKNNRecommender(),
    EASERecommender(),
    ItemKNNRecommender(),
    PopularRecommender(),
    RP3betaRecommender(),
    SequentialRulesRecommender(),
]
NEW_ITEMS = {name: values[:2] for name, values in FEATURES.items()}


def in_the_file(array):
    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    return isinstance(array, mmap.mmap) or isinstance(getattr(array, "obj", None), mmap.mmap)


def assert_same_answers(a, b):
    for one, other in zip(answers(a), answers(b), strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_a_mapped_model_is_the_saved_model(model, path):
    recsk.save(model, path)
    mapped, read = recsk.load(path, mmap=True), recsk.load(path)
    assert vars(mapped).keys() == vars(read).keys() and repr(mapped) == repr(read)
    assert_same_answers(mapped, read)
    assert_same_answers(pickle.loads(pickle.dumps(mapped)), read)
    for name in ("user_embedding_", "item_embedding_", "item_popularity_"):
        array = getattr(mapped, name)
        np.testing.assert_array_equal(array, getattr(read, name))
        assert in_the_file(array) and not in_the_file(getattr(read, name))
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    assert in_the_file(mapped.interactions_.indices)
    if hasattr(mapped, "item_to_item_"):
        assert in_the_file(mapped.item_to_item_.data) and in_the_file(mapped.item_to_item_.indices)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_a_mapped_rule_answers_and_learns_on(rule, path):
    features = FEATURES if isinstance(rule, ContentKNNRecommender) else None
    recsk.save(clone(rule).fit(TRAIN, item_features=features), path)
    mapped, read = recsk.load(path, mmap=True), recsk.load(path)
    assert_same_answers(mapped, read)
    if hasattr(rule, "partial_fit"):
        assert_same_answers(mapped.partial_fit(TEST), read.partial_fit(TEST))


@pytest.mark.filterwarnings("error")
def test_a_mapped_network_learns_on(model_of_each_class, path):
    recsk.save(model_of_each_class, path)
    content = path.read_bytes()
    mapped, read = recsk.load(path, mmap=True), recsk.load(path)
    assert_same_answers(mapped.partial_fit(TEST), read.partial_fit(TEST))
    np.testing.assert_array_equal(mapped.item_embedding_, read.item_embedding_)
    assert not in_the_file(mapped.item_embedding_) and path.read_bytes() == content
    mapped, read = recsk.load(path, mmap=True), recsk.load(path)
    np.testing.assert_array_equal(mapped.add_items(NEW_ITEMS), read.add_items(NEW_ITEMS))
    assert_same_answers(mapped, read)
    mapped = recsk.load(path, mmap=True).set_params(warm_start=True)
    read = recsk.load(path).set_params(warm_start=True)
    for est in (mapped, read):
        est.fit(TRAIN, item_features=FEATURES)
    assert_same_answers(mapped, read)


def test_a_file_can_be_replaced_while_it_is_mapped(path):
    recsk.save(fitted("MDE"), path)
    mapped = recsk.load(path, mmap=True)
    recsk.save(fitted("MDSRec"), path)
    assert_same_answers(mapped, fitted("MDE"))
    recsk.save(mapped, path)  # over the file
    assert_same_answers(recsk.load(path), fitted("MDE"))


def test_labels_come_along(path):
    X = TRAIN.with_labels(
        [f"user {u}" for u in range(TRAIN.n_users)], [(i, "sku") for i in range(TRAIN.n_items)]
    )
    model = EASERecommender().fit(X)
    recsk.save(model, path)
    mapped = recsk.load(path, mmap=True)
    np.testing.assert_array_equal(
        mapped.recommend(["user 3"], k=4)[0], model.recommend(["user 3"], k=4)[0]
    )


def test_values_are_checked_by_default_alone(path):
    recsk.save(fitted("MDE"), path)
    content = path.read_bytes()
    vectors = fitted("MDE").user_embedding_.tobytes()
    assert content.count(vectors) == 1
    path.write_bytes(content.replace(vectors, vectors[::-1]))
    with pytest.raises(ValueError, match="checksum"):
        recsk.load(path)
    recsk.load(path, mmap=True)


def rewritten(content, change):
    """Return a file whose header `change` has changed, as long as before."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    data = change(header, content[8 + length :])
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def entry(header):
    return header["item_embedding_"]


def wrong_shape(header, data):
    entry(header)["shape"][0] -= 1
    return data


def wrong_type(header, data):
    entry(header)["dtype"] = "F16"
    return data


def wider_type(header, data):
    entry(header)["dtype"] = "F64"
    return data


def negative(header, data):
    entry(header)["shape"] = [-n for n in entry(header)["shape"]]
    return data


def no_numbers(header, data):
    entry(header)["shape"] = [str(n) for n in entry(header)["shape"]]
    return data


def no_list(header, data):
    entry(header)["shape"] = None
    return data


def overlapping(header, data):
    entry(header)["data_offsets"] = [n - 4 for n in entry(header)["data_offsets"]]
    return data


def reversed_position(header, data):
    entry(header)["data_offsets"].reverse()
    return data


def one_number(header, data):
    entry(header)["data_offsets"] = entry(header)["data_offsets"][1:]
    return data


def not_sorted(header, data):
    entry(header)["data_offsets"][0] = None
    return data


def cut(header, data):
    return data[:-4]


def longer(header, data):
    return data + b"1234"


def another_array(header, data):
    size = len(data)
    header["more"] = {"dtype": "U8", "shape": [3], "data_offsets": [size, size + 3]}
    return data + b"123"


def flat(header, data):
    entry(header)["shape"] = [entry(header)["shape"][0] * entry(header)["shape"][1]]
    return data


WRONG = [
    *(wrong_shape, wrong_type, wider_type, negative, no_numbers, no_list, overlapping),
    *(reversed_position, one_number, not_sorted, cut, longer, another_array, flat),
]


@pytest.mark.parametrize("change", WRONG, ids=lambda change: change.__name__)
def test_header_shapes_and_positions_are_checked(change, path):
    recsk.save(fitted("MDE"), path)
    path.write_bytes(rewritten(path.read_bytes(), lambda header, data: data))
    recsk.load(path, mmap=True)
    path.write_bytes(rewritten(path.read_bytes(), change))
    with pytest.raises(ValueError, match="cannot be loaded"):
        recsk.load(path, mmap=True)


def test_the_index_pointers_must_cover_the_indices(saved, path):
    document, arrays = saved("MDE")
    arrays["interactions_.indptr"] = replace_at(arrays["interactions_.indptr"], -1, 1)
    forge(path, document, arrays)
    with pytest.raises(ValueError, match="does not divide"):
        recsk.load(path, mmap=True)


@pytest.mark.parametrize("content", [b"", b"1234567", b"x" * 100])
def test_other_files(content, path):
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cannot be loaded"):
        recsk.load(path, mmap=True)


def test_mmap_is_a_flag(path):
    recsk.save(fitted("MDE"), path)
    with pytest.raises(TypeError, match="mmap must be a bool, got 'r'"):
        recsk.load(path, mmap="r")


def test_matrices_are_views_of_the_file(path):
    recsk.save(fitted("MDSRec"), path)
    mapped = recsk.load(path, mmap=True)
    for matrix in (mapped.interactions_, mapped.item_to_item_, mapped.history_weights_):
        assert sparse.issparse(matrix) and matrix.has_canonical_format
        assert in_the_file(matrix.indptr) and in_the_file(matrix.indices)
