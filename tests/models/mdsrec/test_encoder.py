from hypothesis import given, settings
from hypothesis import strategies as st

from recsk.models.mdsrec.encoder import weight_shapes
from recsk.nn.encoder import SequenceEncoder

SETTINGS = st.fixed_dictionaries(
    {
        "n_modalities": st.integers(1, 3),
        "n_factors": st.sampled_from([2, 4, 8]),
        "max_length": st.integers(1, 9),
        "n_blocks": st.integers(1, 3),
        "n_heads": st.integers(1, 2),
        "dropout": st.just(0.1),
        "with_interests": st.booleans(),
        "fusion": st.sampled_from(["gumbel", "softmax", "mean"]),
        "tau": st.just(1.0),
        "concatenate": st.booleans(),
        "similarity": st.sampled_from(["cosine", "dot"]),
        "item_bias": st.booleans(),
        "recent_weight": st.sampled_from([0.0, 1.0]),
    }
)


@settings(max_examples=30, deadline=None)
@given(SETTINGS)
def test_the_shapes_of_weights_are_known_without_an_encoder(options):
    weights = SequenceEncoder(**options).state_dict()
    assert weight_shapes(options) == {name: tuple(x.shape) for name, x in weights.items()}
