from pathlib import Path

import numpy as np
import pytest

from recsk.datasets import load_mmrec

ROWS = [
    # user, item, rating, timestamp, x_label
    (0, 0, 5.0, 100, 0),
    (0, 1, 3.0, 110, 0),
    (0, 4, 4.0, 120, 1),
    (1, 1, 1.0, 105, 0),
    (1, 2, 2.0, 130, 2),
    (2, 3, 5.0, 101, 0),
]
HEADER = "userID\titemID\trating\ttimestamp\tx_label"


def write(folder: Path, *, header=HEADER, rows=ROWS, name="toy", **features) -> Path:
    folder.mkdir(exist_ok=True)
    lines = [header, *("\t".join(str(value) for value in row) for row in rows)]
    (folder / f"{name}.inter").write_text("\n".join(lines) + "\n")
    for stem, array in features.items():
        np.save(folder / f"{stem}.npy", array)
    return folder


@pytest.fixture
def image():
    return np.arange(15, dtype=np.float64).reshape(5, 3)


@pytest.fixture
def text():
    return np.arange(10, dtype=np.float32).reshape(5, 2)


@pytest.fixture
def folder(tmp_path, image, text):
    return write(tmp_path / "toy", image_feat=image, text_feat=text)


def test_reads_splits_columns_and_features(folder, image, text):
    data = load_mmrec(folder)
    assert data.name == "toy"
    assert (data.n_users, data.n_items) == (3, 5)
    for split in (data.train, data.valid, data.test):
        assert (split.n_users, split.n_items) == (3, 5)
    np.testing.assert_array_equal(data.train.user, [0, 0, 1, 2])
    np.testing.assert_array_equal(data.train.item, [0, 1, 1, 3])
    np.testing.assert_array_equal(data.train.value, [5, 3, 1, 5])
    np.testing.assert_array_equal(data.train.timestamp, [100, 110, 105, 101])
    np.testing.assert_array_equal(data.valid.item, [4])
    np.testing.assert_array_equal(data.test.item, [2])
    assert list(data.item_features) == ["v", "t"]
    np.testing.assert_array_equal(data.item_features["v"], image)
    np.testing.assert_array_equal(data.item_features["t"], text)
    assert all(array.dtype == np.float32 for array in data.item_features.values())


def test_a_string_is_a_folder_too(folder):
    assert load_mmrec(str(folder)).name == "toy"


@pytest.mark.parametrize(
    "header",
    [
        "userID:token\titemID:token\trating:float\ttimestamp:float\tx_label:float",
        "user_id\titem_id\trating\ttimestamp\tx_label",
        "\ufeffuserID\titemID\trating\ttimestamp\tx_label",
    ],
)
def test_other_headers(tmp_path, header, image, text):
    data = load_mmrec(write(tmp_path / "toy", header=header, image_feat=image, text_feat=text))
    assert len(data.train) == 4


def test_columns_in_another_order_and_only_the_needed_ones(tmp_path):
    rows = [("x", label, item, user) for user, item, _, _, label in ROWS]
    folder = write(tmp_path / "toy", header="note\tx_label\titemID\tuserID", rows=rows)
    data = load_mmrec(folder, features=())
    np.testing.assert_array_equal(data.train.item, [0, 1, 1, 3])
    assert data.train.value is None
    assert data.train.timestamp is None
    assert data.item_features == {}


def test_items_without_interactions_are_counted(tmp_path):
    folder = write(tmp_path / "toy", text_feat=np.ones((9, 2)))
    data = load_mmrec(folder, features=["text_feat"])
    assert data.n_items == data.test.n_items == 9


def test_other_feature_files_keep_their_name(tmp_path):
    folder = write(tmp_path / "toy", audio_feat=np.ones((5, 2)), price=np.ones((5, 1)))
    data = load_mmrec(folder, features=["audio_feat.npy", "price"])
    assert list(data.item_features) == ["a", "price"]


def test_empty_validation_part(tmp_path):
    rows = [row for row in ROWS if row[-1] != 1]
    data = load_mmrec(write(tmp_path / "toy", rows=rows), features=())
    assert len(data.valid) == 0


def test_of_several_files_the_one_named_like_the_folder_is_read(folder):
    write(folder, name="other", rows=ROWS[:2])
    assert load_mmrec(folder).name == "toy"


def test_several_files_of_which_none_is_named_like_the_folder(folder):
    (folder / "toy.inter").rename(folder / "one.inter")
    write(folder, name="two")
    with pytest.raises(ValueError, match=r"one named toy\.inter, got one\.inter, two\.inter"):
        load_mmrec(folder)


def test_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="existing directory, got .*nowhere"):
        load_mmrec(tmp_path / "nowhere")


def test_no_inter_file(tmp_path):
    (tmp_path / "readme.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"NAME\.inter .* found readme\.txt"):
        load_mmrec(tmp_path)


def test_no_feature_file(tmp_path, text):
    folder = write(tmp_path / "toy", text_feat=text)
    with pytest.raises(FileNotFoundError, match=r"'image_feat'.*text_feat\.npy.*features=\(\)"):
        load_mmrec(folder)


def test_features_as_a_string(folder):
    with pytest.raises(ValueError, match=r"pass \['image_feat'\]"):
        load_mmrec(folder, features="image_feat")


@pytest.mark.parametrize("column", ["userID", "itemID", "x_label"])
def test_a_missing_column(tmp_path, column):
    folder = write(tmp_path / "toy", header=HEADER.replace(column, "else"))
    with pytest.raises(ValueError, match=r"toy\.inter: the header must have a column .*else"):
        load_mmrec(folder, features=())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("alice", 0, 5.0, 1, 0), "line 8: user must be a number, got 'alice'"),
        ((-1, 0, 5.0, 1, 0), "user ids must be integers from 0, got -1 in interaction 6"),
        ((0, 1.5, 5.0, 1, 0), r"item ids must be integers from 0, got 1\.5"),
        ((0, "nan", 5.0, 1, 0), "line 8: item must be a number, got 'nan'"),
        ((0, 0, 5.0, 1, 3), r"x_label must be 0 \(training\).*got 3"),
        ((0, 0), "line 8: label must be a number, got no value"),
    ],
)
def test_wrong_rows(tmp_path, row, message):
    folder = write(tmp_path / "toy", rows=[*ROWS, row])
    with pytest.raises(ValueError, match=message):
        load_mmrec(folder, features=())


def test_no_rows(tmp_path):
    with pytest.raises(ValueError, match="interactions below the header, got none"):
        load_mmrec(write(tmp_path / "toy", rows=[]), features=())


def test_nothing_to_train_on(tmp_path):
    folder = write(tmp_path / "toy", rows=[(0, 0, 1.0, 1, 2)])
    with pytest.raises(ValueError, match="nothing to train on"):
        load_mmrec(folder, features=())


def test_the_error_names_a_feature_file_with_too_few_rows(tmp_path, text):
    folder = write(tmp_path / "toy", image_feat=np.ones((4, 3)), text_feat=text)
    with pytest.raises(
        ValueError,
        match=r"image_feat\.npy has 4 rows, but toy\.inter has item ids up to 4: at least 5",
    ):
        load_mmrec(folder)


def test_the_error_names_feature_files_of_different_lengths(tmp_path, text):
    folder = write(tmp_path / "toy", image_feat=np.ones((7, 3)), text_feat=text)
    with pytest.raises(ValueError, match=r"image_feat\.npy has 7, text_feat\.npy has 5"):
        load_mmrec(folder)


@pytest.mark.parametrize("array", [np.ones(5), np.ones((5, 0)), np.ones((5, 2), dtype=complex)])
def test_feature_array_of_the_wrong_kind(tmp_path, array):
    folder = write(tmp_path / "toy", text_feat=array)
    with pytest.raises(ValueError, match=r"text_feat\.npy must be a numeric array of shape"):
        load_mmrec(folder, features=["text_feat"])


def test_a_pickled_array_is_not_unpickled(tmp_path):
    folder = write(tmp_path / "toy")
    np.save(folder / "text_feat.npy", np.array([{}] * 5, dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"text_feat\.npy must be a plain numeric"):
        load_mmrec(folder, features=["text_feat"])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"version https://git-lfs.github.com"])
def test_a_file_that_is_not_npy(tmp_path, content):
    folder = write(tmp_path / "toy")
    (folder / "text_feat.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"text_feat\.npy must be a \.npy file, but it begins"):
        load_mmrec(folder, features=["text_feat"])


def test_a_truncated_array(tmp_path, text):
    folder = write(tmp_path / "toy", text_feat=text)
    path = folder / "text_feat.npy"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match=r"text_feat\.npy must be .* in full"):
        load_mmrec(folder, features=["text_feat"])


@pytest.mark.parametrize("number", [2**31 - 1, 99999999999999999999])
def test_an_id_too_large_to_number_users(tmp_path, number):
    folder = write(tmp_path / "x", rows=[*ROWS, (number, 0, 5.0, 100, 0)])
    with pytest.raises(ValueError, match=r"toy\.inter: user ids must be below 2147483647"):
        load_mmrec(folder, features=())


def test_features_too_large_for_float32(tmp_path, text):
    large = text.astype(np.float64)
    large[1, 0] = 1e300
    with pytest.raises(ValueError, match=r"text_feat\.npy has numbers that are too large"):
        load_mmrec(write(tmp_path / "x", text_feat=large), features=["text_feat"])


def test_two_files_of_one_modality(tmp_path, text):
    folder = write(tmp_path / "toy", text_feat=text, t=text)
    with pytest.raises(ValueError, match="name each modality once, got 't' twice"):
        load_mmrec(folder, features=["text_feat", "t"])


@pytest.mark.parametrize("features", [None, [Path("text_feat.npy")], {"text_feat"}])
def test_features_that_are_not_file_names(folder, features):
    with pytest.raises(TypeError, match="features must be a sequence of file names; got"):
        load_mmrec(folder, features=features)


def test_a_folder_that_is_not_a_path():
    with pytest.raises(TypeError, match="folder must be a path"):
        load_mmrec(None)
