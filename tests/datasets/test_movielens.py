import gc
import gzip
import re
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from recsk import MDERecommender
from recsk.datasets import load_movielens, tables

# user, film, rating, timestamp; film 9 is not in the film file, and film 30 has no rating
RATINGS = [
    (7, 50, 4.0, 1000),
    (7, 3, 2.0, 1010),
    (9, 50, 5.0, 990),
    (2, 9, 3.0, 2000),
    (2, 120, 1.0, 2001),
]
FILMS = [
    (3, "Kid, The (1921)", ["Comedy", "Drama"]),
    (30, "Unseen (2000)", ["War"]),
    (50, 'Éternité "X" (1995)', ["Horror"]),
    (120, "Blank", []),
]
FLAGS = (
    "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy "
    "Film-Noir Horror Musical Mystery Romance Sci-Fi Thriller War Western"
).split()
VERSIONS = ["ml-100k", "ml-1m", "ml-10m", "ml-25m"]
NAMES = {"ml-100k": ("u.data", "u.item"), "ml-25m": ("ratings.csv", "movies.csv")}


def names(version):
    return NAMES.get(version, ("ratings.dat", "movies.dat"))


def rating_lines(version, rows=RATINGS):
    delimiter = {"ml-100k": "\t", "ml-25m": ","}.get(version, "::")
    no_halves = version in ("ml-100k", "ml-1m")  # these have no half stars
    rows = [(u, f, int(r) if no_halves and isinstance(r, float) else r, t) for u, f, r, t in rows]
    lines = [delimiter.join(map(str, row)) for row in rows]
    return [*(["userId,movieId,rating,timestamp"] if version == "ml-25m" else []), *lines]


def film_lines(version, rows=FILMS):
    lines = ["movieId,title,genres"] if version == "ml-25m" else []
    for film, title, genres in rows:
        if version == "ml-100k":
            flags = [str(int(name in (genres or ["unknown"]))) for name in FLAGS]
            lines.append("|".join([str(film), title, "01-Jan-1995", "", "http://x", *flags]))
            continue
        if version == "ml-25m":
            title = '"' + title.replace('"', '""') + '"'
        listed = "|".join(genres) or "(no genres listed)"
        lines.append(("," if version == "ml-25m" else "::").join([str(film), title, listed]))
    return lines


def write(
    folder: Path, version: str, *, ratings=None, films=None, end="\n", byte_order_mark=""
) -> Path:
    """Write a data set; `ratings` and `films` are lists of lines that replace the defaults."""
    folder.mkdir(parents=True, exist_ok=True)
    encoding = "latin-1" if version in ("ml-100k", "ml-1m") else "utf-8"
    ratings = rating_lines(version) if ratings is None else ratings
    films = film_lines(version) if films is None else films
    for name, lines in zip(names(version), (ratings, films), strict=True):
        text = byte_order_mark + "".join(line + end for line in lines)
        (folder / name).write_bytes(text.encode("utf-8" if byte_order_mark else encoding))
    return folder


def pack(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, f"{folder.name}/{file.name}")
        archive.writestr(f"__MACOSX/{folder.name}/._ratings.csv", "nothing")
    return path


def check_data(data):
    X = data.interactions
    np.testing.assert_array_equal(data.user_ids, [2, 7, 9])
    np.testing.assert_array_equal(data.item_ids, [3, 9, 50, 120])
    np.testing.assert_array_equal(X.user, [1, 1, 2, 0, 0])
    np.testing.assert_array_equal(X.item, [2, 0, 2, 1, 3])
    np.testing.assert_array_equal(X.value, [4, 2, 5, 3, 1])
    np.testing.assert_array_equal(X.timestamp, [1000, 1010, 990, 2000, 2001])
    np.testing.assert_array_equal(X.item_labels, data.item_ids)
    np.testing.assert_array_equal(X.user_labels, data.user_ids)
    assert (X.n_users, X.n_items) == (3, 4)
    assert data.titles.tolist() == ["Kid, The (1921)", "", 'Éternité "X" (1995)', "Blank"]
    assert data.genres == ["Comedy", "Drama", "Horror", "War"]
    nan = [np.nan] * 4
    features = data.item_features["genre"]
    np.testing.assert_array_equal(features, [[1, 1, 0, 0], nan, [0, 0, 1, 0], nan])
    assert features.dtype == np.float32


@pytest.mark.parametrize("version", VERSIONS)
class TestVersions:
    def test_folder(self, tmp_path, version):
        data = load_movielens(write(tmp_path / version, version))
        check_data(data)
        assert data.name == version

    def test_a_string(self, tmp_path, version):
        check_data(load_movielens(str(write(tmp_path / version, version))))

    def test_zip_is_read_without_extracting_it(self, tmp_path, version):
        archive = pack(write(tmp_path / version, version), tmp_path / f"{version}-download.zip")
        shutil.rmtree(tmp_path / version)
        data = load_movielens(archive)
        check_data(data)
        assert data.name == f"{version}-download"
        assert list(tmp_path.iterdir()) == [archive]

    def test_folder_within_a_folder(self, tmp_path, version):
        write(tmp_path / version / version, version)
        check_data(load_movielens(tmp_path / version))

    def test_windows_line_ends_and_blank_lines(self, tmp_path, version):
        lines = {"ratings": rating_lines(version), "films": film_lines(version)}
        for part in lines.values():
            part.insert(2, "")
            part += ["", ""]
        check_data(load_movielens(write(tmp_path / version, version, end="\r\n", **lines)))

    def test_byte_order_mark(self, tmp_path, version):
        check_data(load_movielens(write(tmp_path / version, version, byte_order_mark="\ufeff")))

    def test_ratings_in_many_blocks(self, tmp_path, version, monkeypatch):
        monkeypatch.setattr(tables, "_BLOCK_LINES", 2)
        check_data(load_movielens(write(tmp_path / version, version)))

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            (("bob", 3, 4, 1), "user must be a whole number, got 'bob'"),
            ((7, 3.5, 4, 1), r"film must be a whole number, got '3\.5'"),
            ((7, 3, "good", 1), "rating must be a number, got 'good'"),
            ((7, 3, "nan", 1), "rating must be a number, got 'nan'"),
            ((7, 3, 4, ""), "timestamp must be a whole number, got no value"),
            ((7, 10**20, 4, 1), "film must be a whole number, got '1000"),
        ],
    )
    @pytest.mark.parametrize("block", [2, 1000])
    def test_a_wrong_value(self, tmp_path, version, row, message, block, monkeypatch):
        monkeypatch.setattr(tables, "_BLOCK_LINES", block)
        ratings = rating_lines(version, [*RATINGS[:3], row, *RATINGS[3:]])
        ratings.insert(2, "")
        line = 6 if version == "ml-25m" else 5
        folder = write(tmp_path / version, version, ratings=ratings)
        where = re.escape(names(version)[0])
        with pytest.raises(ValueError, match=f"{where}, line {line}: {message}"):
            load_movielens(folder)

    def test_a_truncated_row(self, tmp_path, version):
        ratings = rating_lines(version)
        ratings[-1] = ratings[-1][:1]
        folder = write(tmp_path / version, version, ratings=ratings)
        with pytest.raises(ValueError, match=f"line {len(ratings)}: film must be .*no value"):
            load_movielens(folder)

    def test_no_ratings(self, tmp_path, version):
        folder = write(tmp_path / version, version, ratings=rating_lines(version, []))
        with pytest.raises(ValueError, match="must hold ratings, got none"):
            load_movielens(folder)

    def test_no_films(self, tmp_path, version):
        folder = write(tmp_path / version, version, films=film_lines(version, []))
        with pytest.raises(ValueError, match="must hold films, got none"):
            load_movielens(folder)

    def test_no_film_file(self, tmp_path, version):
        folder = write(tmp_path / version, version)
        (folder / names(version)[1]).unlink()
        with pytest.raises(FileNotFoundError, match=re.escape(f"must hold {names(version)[1]}")):
            load_movielens(folder)

    def test_an_incomplete_film_line(self, tmp_path, version):
        films = film_lines(version)
        films[-1] = "120"
        where = re.escape(names(version)[1])
        with pytest.raises(ValueError, match=f"{where}, line {len(films)}: expected"):
            load_movielens(write(tmp_path / version, version, films=films))

    def test_a_film_id_that_is_not_a_number(self, tmp_path, version):
        films = [line.replace("120", "x2", 1) for line in film_lines(version)]
        with pytest.raises(ValueError, match=f"line {len(films)}: the id of a film .* got 'x2'"):
            load_movielens(write(tmp_path / version, version, films=films))

    def test_no_genres_at_all(self, tmp_path, version):
        films = film_lines(version, [(film, title, []) for film, title, _ in FILMS])
        data = load_movielens(write(tmp_path / version, version, films=films))
        assert data.genres == []
        assert data.item_features == {}


@pytest.mark.parametrize("column", ["userId", "movieId", "rating", "timestamp"])
def test_a_missing_column_of_ratings(tmp_path, column):
    lines = rating_lines("ml-25m")
    lines[0] = lines[0].replace(column, "else")
    with pytest.raises(ValueError, match=r"ratings\.csv: the header must have a column .*else"):
        load_movielens(write(tmp_path / "x", "ml-25m", ratings=lines))


def test_a_missing_column_of_films(tmp_path):
    lines = film_lines("ml-25m")
    lines[0] = "movieId,name,genres"
    with pytest.raises(ValueError, match=r"movies\.csv, line 1: the header .* title .*name"):
        load_movielens(write(tmp_path / "x", "ml-25m", films=lines))


def test_empty_files(tmp_path):
    folder = write(tmp_path / "x", "ml-25m", ratings=[])
    with pytest.raises(ValueError, match=r"ratings\.csv: the header must have"):
        load_movielens(folder)


def test_columns_in_another_order(tmp_path):
    rows = [f"{t},{f},note,{u},{r}" for u, f, r, t in RATINGS]
    lines = ["timestamp,movieId,note,userId,rating", *rows]
    check_data(load_movielens(write(tmp_path / "x", "ml-25m", ratings=lines)))


@pytest.mark.parametrize("place", [1, -1])
def test_a_quote_that_is_not_closed_hides_no_film(tmp_path, place):
    lines = film_lines("ml-25m")
    lines[place] = '5,"Kid, The (1921),Comedy'
    number = range(1, len(lines) + 1)[place]
    with pytest.raises(ValueError, match=rf"movies\.csv, line {number}: "):
        load_movielens(write(tmp_path / "x", "ml-25m", films=lines))


def test_a_comma_in_a_title_without_quotes(tmp_path):
    lines = film_lines("ml-25m")
    lines[1] = "3,Kid, The (1921),Comedy"
    with pytest.raises(ValueError, match=r"movies\.csv, line 2: expected 3 values, got 4"):
        load_movielens(write(tmp_path / "x", "ml-25m", films=lines))


@pytest.mark.parametrize("end", [None, -20])
def test_packed_files(tmp_path, end):
    folder = write(tmp_path / "ml-25m", "ml-25m")
    for path in folder.iterdir():
        path.write_bytes(gzip.compress(path.read_bytes()))
    if end is None:
        check_data(load_movielens(folder))
        return
    path = folder / "movies.csv"
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(ValueError, match=r"movies\.csv is damaged"):
        load_movielens(folder)


def test_writing_to_the_ids_does_not_change_the_labels(tmp_path):
    data = load_movielens(write(tmp_path / "x", "ml-25m"))
    data.user_ids[0] = data.item_ids[0] = 777
    assert 777 not in data.interactions.user_labels
    assert 777 not in data.interactions.item_labels


def test_a_title_over_two_lines(tmp_path):
    lines = film_lines("ml-25m")
    lines[1] = lines[1].replace("Kid, ", "Kid,\n")
    data = load_movielens(write(tmp_path / "x", "ml-25m", films=lines))
    assert data.titles[0] == "Kid,\nThe (1921)"
    lines[-1] = "x,y,z"
    with pytest.raises(ValueError, match="line 6: the id of a film"):
        load_movielens(write(tmp_path / "x", "ml-25m", films=lines))


def test_control_characters_do_not_end_a_line(tmp_path):
    films = film_lines("ml-1m", [(3, "A\x85B\x1cC", ["War"]), *FILMS[1:]])
    data = load_movielens(write(tmp_path / "x", "ml-1m", films=films))
    assert data.titles[0] == "A\x85B\x1cC"


def test_ratings_that_repeat_are_kept(tmp_path):
    lines = rating_lines("ml-100k", [*RATINGS, RATINGS[0]])
    X = load_movielens(write(tmp_path / "x", "ml-100k", ratings=lines)).interactions
    assert len(X) == 6
    assert (X.user[-1], X.item[-1]) == (X.user[0], X.item[0])


def test_min_rating_drops_users_and_films_without_ratings(tmp_path):
    data = load_movielens(write(tmp_path / "x", "ml-25m"), min_rating=3)
    np.testing.assert_array_equal(data.user_ids, [2, 7, 9])
    np.testing.assert_array_equal(data.item_ids, [9, 50])
    np.testing.assert_array_equal(data.interactions.item, [1, 1, 0])
    assert data.interactions.value.min() == 3
    assert data.titles.tolist() == ["", 'Éternité "X" (1995)']
    assert data.genres == ["Comedy", "Drama", "Horror", "War"]
    assert data.item_features["genre"].shape == (2, 4)


def test_min_count_gives_the_k_core(tmp_path):
    rng = np.random.default_rng(0)
    pairs = np.unique(rng.integers(0, 40, (300, 2)), axis=0)
    rows = [(u, f, float(rng.integers(1, 6)), 5) for u, f in pairs.tolist()]
    folder = write(tmp_path / "x", "ml-25m", ratings=rating_lines("ml-25m", rows))
    data = load_movielens(folder, min_rating=2, min_count=4)
    X = data.interactions
    got = set(zip(data.user_ids[X.user].tolist(), data.item_ids[X.item].tolist(), strict=True))

    expected = {(u, f) for u, f, r, _ in rows if r >= 2}
    while True:
        counts = [np.bincount([pair[side] for pair in expected], minlength=40) for side in (0, 1)]
        remaining = {(u, f) for u, f in expected if counts[0][u] >= 4 and counts[1][f] >= 4}
        if remaining == expected:
            break
        expected = remaining
    assert got == expected
    assert 0 < len(got) < len(rows)
    assert np.bincount(X.user, minlength=X.n_users).min() >= 4
    assert np.bincount(X.item, minlength=X.n_items).min() >= 4


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"min_rating": 6}, ValueError, "min_rating=6 and min_count=1 leave none of the 5"),
        ({"min_count": 3}, ValueError, "min_count=3 leave none of the 5 .*x"),
        ({"min_rating": "4"}, TypeError, "min_rating must be a number or None; got '4'"),
        ({"min_rating": True}, TypeError, "min_rating must be a number"),
        ({"min_rating": np.nan}, ValueError, "min_rating must be finite"),
        ({"min_count": 0}, ValueError, "min_count must be 1 or more; got 0"),
        ({"min_count": 2.5}, TypeError, r"min_count must be an int; got 2\.5"),
    ],
)
def test_wrong_parameters(tmp_path, parameters, error, message):
    folder = write(tmp_path / "x", "ml-25m")
    with pytest.raises(error, match=message):
        load_movielens(folder, **parameters)


def test_wrong_paths(tmp_path):
    with pytest.raises(TypeError, match="path must be a path, .* got int 5"):
        load_movielens(5)
    with pytest.raises(FileNotFoundError, match="existing folder or zip, got .*nowhere"):
        load_movielens(tmp_path / "nowhere")
    folder = write(tmp_path / "x", "ml-25m")
    with pytest.raises(ValueError, match=r"whole zip file, got .*ratings\.csv"):
        load_movielens(folder / "ratings.csv")
    (folder / "ratings.csv").rename(folder / "other.csv")
    with pytest.raises(FileNotFoundError, match=r"ratings\.csv, found movies\.csv, other\.csv"):
        load_movielens(folder)


def test_several_data_sets(tmp_path):
    write(tmp_path / "one", "ml-1m")
    write(tmp_path / "two", "ml-25m")
    with pytest.raises(ValueError, match=r"one data set, found .*ratings\.dat, .*ratings\.csv"):
        load_movielens(tmp_path)


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_truncated_zip(tmp_path, keep):
    archive = pack(write(tmp_path / "x", "ml-25m"), tmp_path / "x.zip")
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(ValueError, match=r"whole zip file, got .*x\.zip"):
        load_movielens(archive)


@pytest.mark.parametrize("name", ["ratings.csv", "movies.csv"])
def test_a_damaged_zip(tmp_path, name):
    lines = rating_lines("ml-25m", RATINGS * 500)
    archive = pack(write(tmp_path / "x", "ml-25m", ratings=lines), tmp_path / "x.zip")
    with zipfile.ZipFile(archive) as opened:
        start = opened.getinfo(f"x/{name}").header_offset
    content = bytearray(archive.read_bytes())
    content[start + 60] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} is damaged"):
        load_movielens(archive)


def test_a_file_in_another_encoding(tmp_path):
    folder = write(tmp_path / "x", "ml-25m")
    for name in ("ratings.csv", "movies.csv"):
        original = (folder / name).read_bytes()
        (folder / name).write_bytes(original.decode().encode("utf-16"))
        with pytest.raises(ValueError, match=rf"{name} must be text, .* UTF-16 text: write it as"):
            load_movielens(folder)
        (folder / name).write_bytes(original)


def test_films_of_another_data_set(tmp_path):
    folder = write(tmp_path / "x", "ml-25m", films=["movieId,title,genres", "9999,A,Drama"])
    with pytest.raises(ValueError, match=r"movies\.csv must be of the same data set .* none of"):
        load_movielens(folder)


def test_no_file_stays_open(tmp_path):
    folder = write(tmp_path / "x", "ml-25m")
    archive = pack(folder, tmp_path / "x.zip")
    bad = write(tmp_path / "bad", "ml-25m", ratings=[*rating_lines("ml-25m"), "a,b,c,d"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in (folder, archive):
            load_movielens(path)
        with pytest.raises(ValueError):
            load_movielens(bad)
        gc.collect()


def test_a_model_fits_the_loaded_data(tmp_path):
    data = load_movielens(write(tmp_path / "x", "ml-25m"))
    model = MDERecommender(n_factors=4, max_epochs=1, random_state=0)
    model.fit(data.interactions, item_features=data.item_features, sample_weight="value")
    ids, _ = model.recommend(data.user_ids[0], k=2)
    titles = dict(zip(data.item_ids.tolist(), data.titles, strict=True))
    assert len([titles[label] for label in ids]) == 2
