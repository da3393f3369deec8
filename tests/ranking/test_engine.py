from contextlib import ExitStack

from threadpoolctl import threadpool_info, threadpool_limits

from recsk.ranking import engine


def test_overlapping_calls_restore_the_number_of_blas_threads():
    def threads():
        return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]

    with threadpool_limits(limits=2, user_api="blas"):
        before = threads()
        assert max(before) == 2  # otherwise there is nothing to limit
        with ExitStack() as one, ExitStack() as other:
            one.enter_context(engine.ONE_BLAS_THREAD)
            other.enter_context(engine.ONE_BLAS_THREAD)
            one.close()  # the first to enter leaves first
            assert set(threads()) == {1}
        assert threads() == before
