import bz2
import gc
import gzip
import json
import lzma
import warnings
from pathlib import Path

import numpy as np
import pytest

from recsk.datasets import load_amazon_reviews, tables

HEADER = "user_id,parent_asin,rating,timestamp"
ROWS = [
    "AF9,B07,4.0,1590000000000",
    "AE2,B07,5.0,1588687728923",
    "AE2,B01,3.0,1588687730000",
    "AA1,0199,1.0,958000000000",
]


def image(name, variant="MAIN", **more):
    large = f"https://x/{name}.jpg"
    return {"thumb": large + "?t", "large": large, "variant": variant, "hi_res": None} | more


PRODUCTS = [
    {
        "main_category": "Home",
        "title": " Oak shelf ",
        "average_rating": 4.8,
        "rating_number": 10,
        "features": ["Solid oak", "", "60 cm"],
        "description": ["For books.", "And plants."],
        "price": None,
        "images": [image("side", "PT01"), image("front")],
        "store": "Oak & Co",
        "categories": ["Home", "Shelves"],
        "parent_asin": "B07",
    },
    {"title": "Not rated", "parent_asin": "B99", "features": [], "description": [], "images": []},
    {
        "title": "Étagère",
        "features": [],
        "description": ["Small."],
        "images": [image("first", "PT01"), image("second", "PT02")],
        "parent_asin": "B01",
    },
]


def write(path: Path, lines, *, end="\n", byte_order_mark="") -> Path:
    content = (byte_order_mark + "".join(line + end for line in lines)).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def write_products(path: Path, products=PRODUCTS) -> Path:
    return write(path, [json.dumps(product) for product in products])


@pytest.fixture
def ratings(tmp_path):
    return write(tmp_path / "Home.csv", [HEADER, *ROWS])


@pytest.fixture
def metadata(tmp_path):
    return write_products(tmp_path / "meta_Home.jsonl")


def check_interactions(data):
    X = data.interactions
    assert data.user_ids.tolist() == ["AA1", "AE2", "AF9"]
    assert data.item_ids.tolist() == ["0199", "B01", "B07"]
    np.testing.assert_array_equal(X.user, [2, 1, 1, 0])
    np.testing.assert_array_equal(X.item, [2, 2, 1, 0])
    np.testing.assert_array_equal(X.value, [4, 5, 3, 1])
    np.testing.assert_array_equal(
        X.timestamp, [1590000000000, 1588687728923, 1588687730000, 958000000000]
    )
    assert (X.n_users, X.n_items) == (3, 3)
    assert X.user_labels.tolist() == data.user_ids.tolist()
    assert X.item_labels.tolist() == data.item_ids.tolist()
    assert data.name == "Home"


def check_texts(data):
    assert data.titles.tolist() == ["", "Étagère", "Oak shelf"]
    assert data.descriptions.tolist() == ["", "Small.", "Solid oak\n60 cm\nFor books.\nAnd plants."]
    assert data.image_urls.tolist() == ["", "https://x/first.jpg", "https://x/front.jpg"]


def test_interactions_and_texts(ratings, metadata):
    data = load_amazon_reviews(ratings, metadata)
    check_interactions(data)
    check_texts(data)
    np.testing.assert_array_equal(data.part, [0, 0, 0, 0])


def test_without_metadata(ratings):
    data = load_amazon_reviews(str(ratings))
    check_interactions(data)
    assert "titles" not in data


def test_packed_files(tmp_path):
    ratings = write(tmp_path / "Home.csv.gz", [HEADER, *ROWS])
    metadata = write_products(tmp_path / "meta_Home.jsonl.gz")
    data = load_amazon_reviews(ratings, metadata)
    check_interactions(data)
    check_texts(data)


def test_a_plain_file_with_the_name_of_a_gzip_file(tmp_path, ratings):
    check_interactions(load_amazon_reviews(ratings.rename(tmp_path / "Home.csv.gz")))


def test_history_and_order_of_columns(tmp_path):
    rows = [",".join([*reversed(row.split(",")), "B07 B01"]) for row in ROWS]
    header = "timestamp,rating,parent_asin,user_id,history"
    check_interactions(load_amazon_reviews(write(tmp_path / "Home.train.csv", [header, *rows])))


def test_parts_of_a_split_share_users_and_items(tmp_path):
    header = f"{HEADER},history"
    rows = [f"{ROWS[0]},", f"{ROWS[1]},", f"{ROWS[2]},B07", f"{ROWS[3]},"]
    train = write(tmp_path / "Home.train.csv", [header, *rows[:2]])
    test = write(tmp_path / "Home.test.csv", [header, *rows[2:]])
    data = load_amazon_reviews([train, str(test)])
    check_interactions(data)
    np.testing.assert_array_equal(data.part, [0, 0, 1, 1])
    np.testing.assert_array_equal(load_amazon_reviews((train, test), min_rating=2).part, [0, 0, 1])


@pytest.mark.parametrize("block", [1, 2, 1000])
def test_windows_line_ends_blank_lines_and_byte_order_mark(tmp_path, block, monkeypatch):
    monkeypatch.setattr(tables, "_BLOCK_LINES", block)
    lines = [HEADER, ROWS[0], "", *ROWS[1:], "", ""]
    check_interactions(
        load_amazon_reviews(
            write(tmp_path / "Home.csv", lines, end="\r\n", byte_order_mark="\ufeff")
        )
    )


def test_quoted_values(tmp_path):
    lines = [HEADER, *('"' + row.replace(",", '","') + '"' for row in ROWS)]
    check_interactions(load_amazon_reviews(write(tmp_path / "Home.csv", lines)))


def test_pairs_that_repeat_are_kept(tmp_path):
    X = load_amazon_reviews(write(tmp_path / "Home.csv", [HEADER, *ROWS, ROWS[0]])).interactions
    assert len(X) == 5
    assert X.to_csr().nnz == 4


def test_min_rating_and_min_count(ratings, metadata):
    data = load_amazon_reviews(ratings, metadata, min_rating=2)
    assert data.user_ids.tolist() == ["AE2", "AF9"]
    assert data.titles.tolist() == ["Étagère", "Oak shelf"]
    with pytest.raises(ValueError, match=r"min_count=2 leave none of the 4 .*Home\.csv"):
        load_amazon_reviews(ratings, min_count=2)


def test_min_count_drops_users_and_items_until_all_have_enough(tmp_path):
    # Item i3 has two users, but one of them has nothing else.
    pairs = ["u1,i1", "u1,i2", "u2,i1", "u2,i2", "u1,i3", "u3,i3"]
    ratings = write(
        tmp_path / "x.csv", [HEADER, *(f"{pair},5.0,{i}" for i, pair in enumerate(pairs))]
    )
    data = load_amazon_reviews(ratings, min_count=2)
    assert data.user_ids.tolist() == ["u1", "u2"]
    assert data.item_ids.tolist() == ["i1", "i2"]
    np.testing.assert_array_equal(data.interactions.timestamp, [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (",B07,4.0,1", "user must be some text, got no value"),
        ("AF9,,4.0,1", "item must be some text, got no value"),
        ("AF9,B07,many,1", "rating must be a number, got 'many'"),
        ("AF9,B07,inf,1", "rating must be a number, got 'inf'"),
        ("AF9,B07,4.0,May", "timestamp must be a whole number, got 'May'"),
        ("AF9,B07,4.0,1.5", "timestamp must be a whole number, got '1.5'"),
        ("AF9,B07,4.0", "timestamp must be a whole number, got no value"),
        ('"AF9,B07,4.0,1', "item must be some text, got no value in "),
    ],
)
@pytest.mark.parametrize("block", [2, 1000])
def test_a_wrong_row(tmp_path, row, message, block, monkeypatch):
    monkeypatch.setattr(tables, "_BLOCK_LINES", block)
    path = write(tmp_path / "Home.csv", [HEADER, *ROWS[:2], "", row, *ROWS[2:]])
    with pytest.raises(ValueError, match=rf"Home\.csv, line 5: {message}"):
        load_amazon_reviews(path)


def test_a_quote_in_a_column_that_is_not_read_hides_no_row(tmp_path):
    rows = [f"{ROWS[0]},B01", f'{ROWS[1]},"B01', f"{ROWS[2]},B01", f'{ROWS[3]},B01"']
    path = write(tmp_path / "Home.csv", [f"{HEADER},history", *rows])
    with pytest.raises(ValueError, match=r"Home\.csv, lines 2 to 5: a quote is opened"):
        load_amazon_reviews(path)


@pytest.mark.parametrize("column", HEADER.split(","))
def test_a_missing_column(tmp_path, column):
    path = write(tmp_path / "Home.csv", [HEADER.replace(column, "else"), *ROWS])
    with pytest.raises(ValueError, match=rf"Home\.csv: the header must have a column {column}"):
        load_amazon_reviews(path)


def test_no_rows(tmp_path, ratings):
    with pytest.raises(ValueError, match=r"empty\.csv: the header must have"):
        load_amazon_reviews(write(tmp_path / "empty.csv", []))
    bare = write(tmp_path / "bare.csv", [HEADER, ""])
    with pytest.raises(ValueError, match=r"bare\.csv: expected ratings below the header"):
        load_amazon_reviews([ratings, bare])


def test_wrong_paths(tmp_path, ratings):
    with pytest.raises(FileNotFoundError, match=r"ratings must be an existing file, got .*no\.csv"):
        load_amazon_reviews(tmp_path / "no.csv")
    with pytest.raises(FileNotFoundError, match=r"ratings\[1\] must be an existing file"):
        load_amazon_reviews([ratings, tmp_path])
    with pytest.raises(FileNotFoundError, match="metadata must be an existing file"):
        load_amazon_reviews(ratings, tmp_path / "no.jsonl")
    with pytest.raises(TypeError, match=r"ratings\[0\] must be a path, .* got int 3"):
        load_amazon_reviews([3])
    with pytest.raises(TypeError, match="metadata must be a path, .* got list"):
        load_amazon_reviews(ratings, [])
    with pytest.raises(TypeError, match="ratings must be a path or a sequence of paths; got int 3"):
        load_amazon_reviews(3)
    with pytest.raises(ValueError, match="ratings must be one path or more, got none"):
        load_amazon_reviews([])


def test_parameters_are_checked_before_anything_is_read(tmp_path):
    with pytest.raises(TypeError, match="min_rating"):
        load_amazon_reviews(tmp_path / "no.csv", min_rating="5")
    with pytest.raises(ValueError, match="min_count must be 1 or more"):
        load_amazon_reviews(tmp_path / "no.csv", min_count=0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"parent_asin": "B07", "title": "Oak', "line 3: expected a JSON object; "),
        ('{"title": "Oak', "line 3: expected a JSON object; "),
        ("[1, 2]", "line 3: expected a JSON object with a string parent_asin, got '"),
        ('{"title": "Oak"}', "line 3: expected a JSON object with a string parent_asin"),
        ('{"parent_asin": 7}', "line 3: expected a JSON object with a string parent_asin"),
        ('{"user_id": "A", "parent_asin": "B07"}', "line 3: expected a product, got a review"),
        ("[" * 100_000, "line 3: expected a JSON object; "),
    ],
)
def test_a_wrong_line_of_metadata(tmp_path, ratings, line, message):
    lines = [json.dumps(PRODUCTS[0]), "", line, json.dumps(PRODUCTS[2])]
    path = write(tmp_path / "meta_Home.jsonl", lines)
    with pytest.raises(ValueError, match=rf"meta_Home\.jsonl, {message}"):
        load_amazon_reviews(ratings, path)


@pytest.mark.parametrize("products", [[], PRODUCTS[1:2]])
def test_metadata_of_another_category(tmp_path, ratings, products):
    path = write_products(tmp_path / "meta_Toys.jsonl", products)
    with pytest.raises(ValueError, match=r"metadata must be .*meta_Toys\.jsonl .* 3 items.*'0199'"):
        load_amazon_reviews(ratings, path)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ("", "", "")),
        ({"title": None, "features": None, "description": None, "images": None}, ("", "", "")),
        ({"title": 5, "features": [None, 3], "images": ["x", {}]}, ("", "", "")),
        ({"title": "A", "description": "as a string"}, ("A", "as a string", "")),
        (
            {"images": [image("a") | {"large": None}, image("b", "PT01")]},
            ("", "", "https://x/b.jpg"),
        ),
        ({"images": [{"large": "https://x/c.jpg"}]}, ("", "", "https://x/c.jpg")),
        (
            {"images": [{"large": None, "hi_res": "https://x/h.jpg"}, {"hi_res": None}]},
            ("", "", "https://x/h.jpg"),
        ),
        (  # as the datasets library of Hugging Face writes it
            {
                "images": {
                    "large": ["https://x/d.jpg", "https://x/e.jpg"],
                    "variant": ["PT01", "MAIN"],
                    "hi_res": [None],
                }
            },
            ("", "", "https://x/e.jpg"),
        ),
        ({"images": {"large": None}}, ("", "", "")),
    ],
)
def test_products_that_lack_fields(tmp_path, ratings, more, expected):
    path = write_products(tmp_path / "meta_Home.jsonl", [{"parent_asin": "B07"} | more])
    data = load_amazon_reviews(ratings, path)
    assert (data.titles[2], data.descriptions[2], data.image_urls[2]) == expected


@pytest.mark.parametrize("which", ["ratings", "metadata"])
@pytest.mark.parametrize("cut", [20, -5])
def test_a_truncated_download(tmp_path, which, cut, ratings, metadata):
    files = {"ratings": ratings, "metadata": metadata}
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(files[which].read_bytes())[:cut])
    files[which] = path
    with pytest.raises(ValueError, match=r"cut\.gz is damaged or was not downloaded in full"):
        load_amazon_reviews(**files)


def test_another_encoding(tmp_path):
    path = tmp_path / "Home.csv"
    before = "AE2,B07,5.0,1\n" * 2000
    path.write_bytes(f"{HEADER}\n{before}É,B07,5.0,1\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"Home\.csv, line 2002: must be UTF-8 .* got byte 0xc9"):
        load_amazon_reviews(path)


@pytest.mark.parametrize(
    ("pack", "what"),
    [(bz2.compress, "bzip2"), (lzma.compress, "xz"), (lambda text: b"PK\3\4" + text, "a zip")],
)
def test_files_packed_in_another_way_are_rejected(tmp_path, pack, what):
    path = tmp_path / "Home.csv"
    path.write_bytes(pack(f"{HEADER}\nAE2,B07,5.0,1\n".encode()))
    with pytest.raises(ValueError, match=rf"Home\.csv must be text.* is .*{what}.*: unpack it"):
        load_amazon_reviews(path)


def test_a_file_of_reviews_is_rejected_as_ratings(tmp_path):
    review = json.dumps({"rating": 5.0, "text": "so, so, " * 1000, "user_id": "AE2"})
    path = write(tmp_path / "Home.jsonl", [review])
    with pytest.raises(ValueError, match=r"got a line of JSON: ") as caught:
        load_amazon_reviews(path)
    assert len(str(caught.value)) < 600


def test_white_space_around_ids(tmp_path, metadata):
    header = HEADER.replace(",", ", ")
    rows = [row.replace(",", ", ") for row in ROWS]
    check_interactions(load_amazon_reviews(write(tmp_path / "Home.csv", [header, *rows])))
    with pytest.raises(ValueError, match="line 2: user must be some text, got no value in '  ,B07"):
        load_amazon_reviews(write(tmp_path / "Home.csv", [HEADER, "  ,B07,5.0,1"]))


def test_one_long_id_does_not_lengthen_the_others(tmp_path):
    rows = [f"U{n},B07,5.0,1" for n in range(200)] + [f"{'U' * 50_000},B07,5.0,1"]
    data = load_amazon_reviews(write(tmp_path / "Home.csv", [HEADER, *rows]))
    assert data.user_ids.nbytes < 100_000
    assert data.user_ids.tolist() == sorted(row.split(",")[0] for row in rows)


def test_ids_that_differ_only_by_a_trailing_nul(tmp_path):
    path = write(tmp_path / "Home.csv", [HEADER, "A\0,B07,5.0,1", "A,B07,5.0,1"])
    assert load_amazon_reviews(path).user_ids.tolist() == ["A", "A\0"]


def test_a_second_line_of_a_product_does_not_remove_texts(tmp_path, ratings):
    first = {"parent_asin": "B07", "title": "Oak", "description": ["Solid"]}
    second = {"parent_asin": "B07", "title": "", "description": [], "features": []}
    metadata = write_products(tmp_path / "twice.jsonl", [first, second])
    data = load_amazon_reviews(ratings, metadata)
    item = data.item_ids.tolist().index("B07")
    assert (data.titles[item], data.descriptions[item]) == ("Oak", "Solid")


def test_no_file_stays_open(tmp_path, ratings, metadata):
    packed = write(tmp_path / "Home.csv.gz", [HEADER, *ROWS])
    bad = write(tmp_path / "bad.csv.gz", [HEADER, "x"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_amazon_reviews([ratings, packed], metadata)
        with pytest.raises(ValueError):
            load_amazon_reviews(bad)
        gc.collect()


def test_only_items_with_interactions_are_kept_in_memory(tmp_path, ratings):
    tracemalloc = pytest.importorskip("tracemalloc")
    path = tmp_path / "meta_Home.jsonl"
    with path.open("w") as file:
        file.write(json.dumps(PRODUCTS[0]) + "\n")
        for number in range(2000):
            other = {"parent_asin": f"C{number}", "description": ["x" * 10_000]}
            file.write(json.dumps(other) + "\n")
    load_amazon_reviews(ratings, path)
    tracemalloc.start()
    try:
        load_amazon_reviews(ratings, path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000  # of 20 MB
    finally:
        tracemalloc.stop()
