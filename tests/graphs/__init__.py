import pytest

# So that a failing assert in the shared checks shows its values, as in a test module.
pytest.register_assert_rewrite("tests.graphs.cases")
