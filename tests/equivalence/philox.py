"""Philox4x32-10 and ModelBatch's dropout masks, from the paper and docs/operators.md, not from our C++.

Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC'11.
"""

import numpy

DROPOUT = 1  # the purpose


def philox4x32(counter: numpy.ndarray, key: tuple[int, int]) -> numpy.ndarray:
    """Ten rounds on counters [n, 4]; returns [n, 4] words, all as uint64 holding 32 bits."""
    low = numpy.uint64(0xFFFFFFFF)
    half = numpy.uint64(32)
    c0, c1, c2, c3 = counter.astype(numpy.uint64).T
    k0, k1 = key
    for _ in range(10):
        p0, p1 = numpy.uint64(0xD2511F53) * c0, numpy.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ numpy.uint64(k0), p1 & low, (p0 >> half) ^ c3 ^ numpy.uint64(k1), p0 & low
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return numpy.stack([c0, c1, c2, c3], axis=1)


def draws(seed: int, purpose: int, op: int, step: int, size: int) -> numpy.ndarray:
    counter = numpy.zeros(((size + 3) // 4, 4), numpy.uint64)
    counter[:, 0] = numpy.arange(len(counter))
    counter[:, 1:] = purpose << 24 | op, step % 2**32, step >> 32
    return philox4x32(counter, (seed % 2**32, seed >> 32)).reshape(-1)[:size]


def dropout_mask(seed: int, op: int, step: int, rows: int, cols: int, p: float) -> numpy.ndarray:
    """Which elements of the output of operator `op` are kept in update number `step`."""
    return (draws(seed, DROPOUT, op, step, rows * cols) >= numpy.uint64(round(p * 2**32))).reshape(rows, cols)
