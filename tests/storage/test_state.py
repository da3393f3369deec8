"""Fitted state in files: what `save` and `load` reject."""

import copy

import numpy as np
import pytest

import recsk
from recsk.storage.state import StateReader
from tests.contract.suite import N_ITEMS, TRAIN
from tests.storage.forging import check_rejected, forge, replace_at
from tests.storage.models import fitted


def test_names_are_in_one_order_whatever_that_of_the_file():
    read = [StateReader({f"part.{x}": 1 for x in names}).part("part") for names in ("ab", "ba")]
    assert read[0].names() == read[1].names() == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("user_embedding_", np.ones((30, 8)), "user_embedding_ must be an array of dtype float32"),
        ("user_embedding_", np.full((30, 8), np.nan, "f4"), "user_embedding_ must be finite"),
        ("item_embedding_", np.ones((5, 8), "f4"), r"item_embedding_ must be of shape \(24, 8\)"),
        ("interactions_", TRAIN.to_csr() * 2, "interactions must hold ones only"),
        ("modality_names_", "vt", "modality_names_ must be a list of strings; got str 'vt'"),
        ("n_users_", 31, "interactions_.indptr does not divide"),
    ],
)
def test_attributes_that_a_file_cannot_hold_are_rejected(name, value, message, path):
    model = copy.copy(fitted("MDE"))
    setattr(model, name, value)
    with pytest.raises(ValueError, match=f"cannot be saved: {message}"):
        recsk.save(model, path)
    assert not path.exists()


INTERACTIONS = "interactions_.indices"
FIRST_ROW = int(TRAIN.to_csr().indptr[1])
FORGERIES = {
    "array is a number": (
        "MDE",
        lambda d, a: (a.pop("item_popularity_"), d["state"].update(item_popularity_=1)),
        "item_popularity_ must be an array .* got int 1",
    ),
    "wrong dtype": (
        "MDE",
        lambda d, a: a.update(user_embedding_=a["user_embedding_"].astype("f8")),
        "user_embedding_ must be an array of dtype float32",
    ),
    "NaN vectors": (
        "MDE",
        lambda d, a: a.update(item_embedding_=replace_at(a["item_embedding_"], (3, 2), np.nan)),
        "item_embedding_ must be finite",
    ),
    "infinite weights": (
        "MDSRec",
        lambda d, a: a.update({"encoder.items": replace_at(a["encoder.items"], (0, 3, 2), np.inf)}),
        "encoder.items must be finite",
    ),
    "user and item vectors of two widths": (
        "MDE",
        lambda d, a: a.update(item_embedding_=a["item_embedding_"][:, :7].copy()),
        r"item_embedding_ must be of shape \(24, 8\)",
    ),
    "vectors without width": (
        "MDE",
        lambda d, a: a.update(user_embedding_=np.ones((30, 0), "f4")),
        r"user_embedding_ must be of shape \(30, any\)",
    ),
    "empty vectors of a huge shape": (
        "MDE",
        lambda d, a: a.update(user_embedding_=np.ones((0, 2**40), "f4")),
        "user_embedding_ must be of shape",
    ),
    "more users than rows": (
        "MDE",
        lambda d, a: d["state"].update(n_users_=10**15),
        "does not divide .* among 1000000000000000 rows",
    ),
    "number of users is true": (
        "MDE",
        lambda d, a: d["state"].update(n_users_=True),
        "n_users_ must be an int",
    ),
    "more items than columns": (
        "MDE",
        lambda d, a: d["state"].update(n_features_in_=10**15),
        r"item_embedding_ must be of shape \(1000000000000000, 8\)",
    ),
    "fewer items than columns": (
        "MDE",
        lambda d, a: d["state"].update(n_features_in_=20),
        "interactions_.indices go beyond the 20 columns",
    ),
    "item out of range": (
        "MDE",
        lambda d, a: a.update({INTERACTIONS: replace_at(a[INTERACTIONS], FIRST_ROW - 1, 24)}),
        "interactions_.indices go beyond the 24 columns",
    ),
    "item is negative": (
        "MDSRec",
        lambda d, a: a.update({INTERACTIONS: replace_at(a[INTERACTIONS], 0, -1)}),
        "interactions_.indices go beyond",
    ),
    "item of the fold-in out of range": (
        "MDE",
        lambda d, a: a.update(
            {"fold.interactions.indices": replace_at(a["fold.interactions.indices"], -1, 2**31 - 1)}
        ),
        "fold.interactions.indices go beyond",
    ),
    "item is twice in a row": (
        "MDE",
        lambda d, a: a.update({INTERACTIONS: replace_at(a[INTERACTIONS], 1, a[INTERACTIONS][0])}),
        "interactions_.indices must ascend within each row",
    ),
    "rows with decreasing starts": (
        "MDE",
        lambda d, a: a.update(
            {"interactions_.indptr": replace_at(a["interactions_.indptr"], 1, -(2**31))}
        ),
        "interactions_.indptr does not divide",
    ),
    "rows that end after the data": (
        "MDE",
        lambda d, a: a.update(
            {"interactions_.indptr": replace_at(a["interactions_.indptr"], -1, 2**31 - 1)}
        ),
        "interactions_.indptr does not divide",
    ),
    "row starts are floats": (
        "MDE",
        lambda d, a: a.update({"interactions_.indptr": a["interactions_.indptr"].astype("f4")}),
        "interactions_.indptr must be a 1-D array of int32 or int64",
    ),
    "row starts have another dtype": (
        "MDE",
        lambda d, a: a.update({"interactions_.indptr": a["interactions_.indptr"].astype("i8")}),
        "indices of dtypes int64 and int32",
    ),
    "modality names are a string": (
        "MDE",
        lambda d, a: d["state"].update(modality_names_="vt"),
        "modality_names_ must be a list of strings",
    ),
    "one modality more": (
        "MDE",
        lambda d, a: d["state"]["modality_names_"].append("x"),
        r"user_preference_ must be of shape \(30, 3\)",
    ),
    "best epoch after the last": (
        "MDE",
        lambda d, a: d["state"].update(best_iter_=3),
        "best_iter_ must be an int from 0 to 2; got int 3",
    ),
    "curve of no loss term": (
        "MDE",
        lambda d, a: a.update({"loss_curve_.x": np.ones(2)}),
        "'loss_curve_.x' is unknown",
    ),
    "curve is missing": (
        "MDE",
        lambda d, a: d["state"]["loss_terms"].append("x"),
        "'loss_curve_.x' is missing",
    ),
    "curve of two axes": (
        "MDE",
        lambda d, a: a.update(validation_curve_=np.ones((1, 2))),
        r"validation_curve_ must be of shape \(2\)",
    ),
    "unknown fusion": (
        "MDE",
        lambda d, a: d["state"].update({"fuse.fusion": "max"}),
        "fuse.fusion must be one of concat, sum; got str 'max'",
    ),
    "another fusion": (
        "MDE",
        lambda d, a: d["state"].update({"fuse.fusion": "sum"}),
        r"fold.messages must be of shape \(24, 16\)",
    ),
    "negative number of layers": (
        "MDE",
        lambda d, a: d["state"].update({"fold.n_layers": -1}),
        "fold.n_layers must be an int from 0",
    ),
    "max_degree of zero": (
        "MDE",
        lambda d, a: d["state"].update({"fold.max_degree": 0}),
        "fold.max_degree must be an int from 1",
    ),
    "normalize is null": (
        "MDE",
        lambda d, a: d["state"].update({"fold.normalize": None}),
        "fold.normalize must be true or false",
    ),
    "item names are missing": (
        "MDE without features",
        lambda d, a: a.pop("feature_names_in_.utf8"),
        "'feature_names_in_.utf8' is missing",
    ),
    "too few item names": (
        "MDE without features",
        lambda d, a: a.update(
            {"feature_names_in_.lengths": a["feature_names_in_.lengths"][:-1].copy()}
        ),
        r"feature_names_in_.lengths must be of shape \(24\)",
    ),
    "item names are too long": (
        "MDE without features",
        lambda d, a: a.update(
            {"feature_names_in_.lengths": replace_at(a["feature_names_in_.lengths"], 0, 2**62)}
        ),
        "feature_names_in_.lengths do not divide a text",
    ),
    "item names are not UTF-8": (
        "MDE without features",
        lambda d, a: a.update(
            {"feature_names_in_.utf8": replace_at(a["feature_names_in_.utf8"], 0, 255)}
        ),
        "feature_names_in_.utf8 is not UTF-8",
    ),
    "names of all columns as those of the first": (
        "MDE without features",
        lambda d, a: a.update(
            {
                f"first_names.{part}": a[f"feature_names_in_.{part}"].copy()
                for part in ("lengths", "utf8")
            }
        ),
        "first_names must be fewer than the 24 items",
    ),
    "the modalities of names are a number": (
        "MDE",
        lambda d, a: d["state"].update({"feature_columns.modalities": 3}),
        "feature_columns.modalities must be a list of strings",
    ),
    "names of columns are missing": (
        "MDE",
        lambda d, a: d["state"].update({"feature_columns.modalities": ["text"]}),
        "'feature_columns.names.text.lengths' is missing",
    ),
    "columns with one name": (
        "MDE",
        lambda d, a: (
            d["state"].update({"feature_columns.modalities": ["text"]}),
            a.update(
                {
                    "feature_columns.names.text.lengths": np.array([1, 1]),
                    "feature_columns.names.text.utf8": np.frombuffer(b"aa", np.uint8).copy(),
                }
            ),
        ),
        "the columns of 'text' have a name twice",
    ),
    "too many blocks": (
        "MDSRec",
        lambda d, a: d["state"].update({"encoder.settings.n_blocks": 10**9}),
        "weights do not make 1000000000 blocks",
    ),
    "one block fewer": (
        "MDSRec",
        lambda d, a: d["state"].update({"encoder.settings.n_blocks": 1}),
        "weights of the encoder do not fit its settings",
    ),
    "sequences longer than the positions": (
        "MDSRec",
        lambda d, a: d["state"].update({"encoder.settings.max_length": 10**12}),
        "encoder.settings.max_length must be an int from 7 to 7",
    ),
    "heads do not divide the width": (
        "MDSRec",
        lambda d, a: d["state"].update({"encoder.settings.n_heads": 3}),
        "3 heads do not share a width of 4",
    ),
    "dropout above 1": (
        "MDSRec",
        lambda d, a: d["state"].update({"encoder.settings.dropout": 2}),
        "encoder.settings.dropout must be a finite number from 0 to 1; got int 2",
    ),
    "tau of zero": (
        "MDSRec",
        lambda d, a: d["state"].update({"encoder.settings.tau": 0}),
        "encoder.settings.tau must be a finite number",
    ),
    "setting is unknown": (
        "MDSRec",
        lambda d, a: d["state"].update({"encoder.settings.device": "cuda"}),
        "'encoder.settings.device' is unknown",
    ),
    "setting is missing": (
        "MDSRec",
        lambda d, a: d["state"].pop("encoder.settings.similarity"),
        "'encoder.settings.similarity' is missing",
    ),
    "weight is unknown": (
        "MDSRec",
        lambda d, a: a.update({"encoder.weights.x": np.ones(2, "f4")}),
        "weights of the encoder do not fit",
    ),
    "weight is missing": (
        "MDSRec",
        lambda d, a: a.pop("encoder.weights.gate"),
        "weights of the encoder do not fit",
    ),
    "weight of another shape": (
        "MDSRec",
        lambda d, a: a.update({"encoder.weights.gate": np.ones((2, 5), "f4")}),
        "weights of the encoder do not fit",
    ),
    "no positions": (
        "MDSRec",
        lambda d, a: a.pop("encoder.weights.position"),
        "encoder need positions of width 4",
    ),
    "fewer items in the encoder": (
        "MDSRec",
        lambda d, a: a.update({"encoder.items": a["encoder.items"][:, :23].copy()}),
        r"encoder.items must be of shape \(2, 24, any\)",
    ),
    "centers are missing": (
        "MDSRec",
        lambda d, a: a.pop("encoder.centers"),
        "'encoder.centers' is missing",
    ),
    "centers of another width": (
        "MDSRec",
        lambda d, a: a.update({"encoder.centers": a["encoder.centers"][:, :, :3].copy()}),
        r"encoder.centers must be of shape \(2, any, 4\)",
    ),
    "clusters of too few items": (
        "MDSRec",
        lambda d, a: a.update({"encoder.cluster": a["encoder.cluster"][:, :5].copy()}),
        r"encoder.cluster must be of shape \(2, 24\)",
    ),
    "clusters beyond the centers": (
        "MDSRec",
        lambda d, a: a.update({"encoder.cluster": a["encoder.cluster"] + 2}),
        "encoder.cluster goes beyond the 4 centers",
    ),
    "negative clusters": (
        "MDSRec",
        lambda d, a: a.update({"encoder.cluster": a["encoder.cluster"] - 4}),
        "encoder.cluster goes beyond the 4 centers",
    ),
    "modalities are summed": (
        "MDSRec",
        lambda d, a: d["state"].update({"encoder.settings.concatenate": False}),
        "does not give vectors of width 9",
    ),
    "weight of recent items that overflows": (
        "MDSRec",
        lambda d, a: d["state"].update({"encoder.settings.recent_weight": 1e300}),
        "encoder.settings.recent_weight must be",
    ),
    "relations of other items": (
        "MDSRec",
        lambda d, a: a.update({"item_to_item_.indptr": a["item_to_item_.indptr"][:-1]}),
        "item_to_item_",
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_wrong_state_is_rejected_though_the_checksum_is_valid(forgery, saved, path):
    model, change, message = FORGERIES[forgery]
    check_rejected(path, *saved(model), change, message)


REPLACEMENTS = [
    None,
    True,
    0,
    -1,
    1,
    2,
    5,
    24,
    2**31,
    2**64 - 1,
    0.5,
    1e308,
    "",
    "sum",
    "x",
    [],
    {},
    [0],
]


def change_one_entry(document, arrays, rng):
    """Change one random value or array, and leave everything else as it was."""
    entries = [(document, k) for k in document if k not in ("params", "state")]
    entries += [(part, k) for part in (document["params"], document["state"]) for k in part]
    if rng.random() < 0.5:
        part, key = entries[rng.integers(len(entries))]
        part[key] = REPLACEMENTS[rng.integers(len(REPLACEMENTS))]
        return
    key = list(arrays)[rng.integers(len(arrays))]
    array = arrays[key].copy()
    kind = rng.integers(6)
    if kind == 0:
        array = array.astype(rng.choice(["f4", "f8", "i4", "i8", "u1"]))
    elif kind == 1:
        array = array.reshape(-1)
    elif kind == 2:
        array = array[:-1].copy()
    elif kind == 3:
        array = np.concatenate([array, array[:1]])
    elif array.size:
        values = [0, 1, 23, 24, 127] if array.dtype.kind in "iu" else [0, -1, 3e38, 1e-44, np.nan]
        array.flat[rng.integers(array.size)] = rng.choice(values)
    arrays[key] = array


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # changed values can overflow
@pytest.mark.parametrize(("name", "seed"), [("MDE", 2), ("MDSRec", 3)])
def test_a_changed_file_that_loads_recommends_valid_items(name, seed, saved, path):
    """A forged file may change the values of a model, but not the form of its answers."""
    rng = np.random.default_rng(seed)
    loaded = 0
    for _ in range(250):
        document, arrays = saved(name)
        change_one_entry(document, arrays, rng)
        forge(path, document, arrays)
        try:
            model = recsk.load(path)
        except ValueError:
            continue
        loaded += 1
        for options in ({}, {"user_items": [[3, 0], []]}):
            try:
                ids, _ = model.recommend(k=5, **options)
            except ValueError as error:  # of values that overflow, where scores come in blocks
                assert "not a number" in str(error)
                continue
            assert ids.min() >= -1 and ids.max() < N_ITEMS
    assert 20 < loaded < 230
