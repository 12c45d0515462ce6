"""Bodies are bounded before anybody looks into them."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.body import BodyBudget, RefusedRequestError, inflate


def deflated_bare(body: bytes) -> bytes:
    """Return `body` deflated without zlib's header, as some senders do."""
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(body) + deflater.flush()


def refused(body: bytes, encoding: str, bytes_max: int = 1000) -> int:
    """Return the status with which the body is refused."""
    with pytest.raises(RefusedRequestError) as raised:
        inflate(body, encoding, bytes_max)
    return raised.value.status


@given(st.binary(max_size=1000))
def test_every_known_encoding_gives_the_body_back(body: bytes) -> None:
    """gzip, deflate with and without its header, and none."""
    for encoding, packed in (
        ("gzip", gzip.compress(body)),
        (" X-GZIP ", gzip.compress(body)),
        ("deflate", zlib.compress(body)),
        ("deflate", deflated_bare(body)),
        ("", body),
        ("identity", body),
    ):
        assert inflate(packed, encoding, 1000) == body


def test_a_small_body_that_inflates_to_a_large_one_is_refused_before_it_is_large() -> None:
    """A bomb of a few bytes is 413 in every encoding, and exactly the bound still passes."""
    body = b"\0" * 5_000_000
    assert [refused(packed, name) for name, packed in (("gzip", gzip.compress(body)), ("deflate", zlib.compress(body)))] == [413, 413]
    assert refused(deflated_bare(body), "deflate") == 413
    assert len(inflate(gzip.compress(b"x" * 1000), "gzip", 1000)) == 1000
    assert refused(gzip.compress(b"x" * 1001), "gzip") == 413


def test_a_bomb_is_never_whole_in_memory() -> None:
    """What is made of it is bounded, not only what is kept."""
    bomb = gzip.compress(b"\0" * 20_000_000)
    tracemalloc.start()
    try:
        assert refused(bomb, "gzip") == 413
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"no gzip", "gzip", 400),
        (gzip.compress(b"cut", mtime=0)[:-4], "gzip", 400),
        (gzip.compress(b"one", mtime=0) + b"more", "gzip", 400),
        (b"\xff\xff", "deflate", 400),
        (b"", "gzip", 400),
        (b"x", "br", 415),
        (b"x", "gzip, gzip", 415),
    ],
)
def test_a_broken_or_unknown_encoding_is_refused(body: bytes, encoding: str, status: int) -> None:
    """Cut, followed by something else, nested, or of another kind."""
    assert refused(body, encoding) == status


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "", "br"]))
def test_no_bytes_raise_anything_else(body: bytes, encoding: str) -> None:
    """Whatever is sent is a body or a refusal."""
    try:
        assert len(inflate(body, encoding, 300)) <= 300
    except RefusedRequestError as error:
        assert error.status in {400, 413, 415}  # noqa: PT017 - a body is as good


def test_the_budget_is_shared_and_given_back() -> None:
    """What one request holds another cannot have, until it is given back."""
    budget = BodyBudget(10)
    budget.take(7)
    with pytest.raises(RefusedRequestError, match="come again"):
        budget.take(4)
    budget.give_back(7)
    budget.take(10)
    assert budget.held_bytes == 10
