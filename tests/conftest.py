"""How tests are named."""


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes are numbered, not spelled out: a frame in a test's name is unreadable, and one that holds the
    time (an archive's header) would name the test differently in each of the processes that share the run."""
    return "bytes" if isinstance(val, bytes) else None
