import pytest

# So that a failing assert of the contract shows its values, as in a test module.
pytest.register_assert_rewrite("tests.contract")
