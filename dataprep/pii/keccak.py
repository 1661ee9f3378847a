"""Keccak-256 as Ethereum uses it: SHA-3 with the padding of before the standard.

The standard library has SHA-3 only. Source: FIPS 202; with its padding byte the result is that of
`hashlib.sha3_256`, by which a test checks it.
"""

_MASK = (1 << 64) - 1
_RATE_BYTES = 136


def keccak_256(message: bytes, padding: int = 0x01) -> bytes:
    """The digest, 32 bytes; `padding` is the first byte of it, 0x06 for SHA-3."""
    padded = bytearray(message + bytes([padding]))
    padded += bytes(-len(padded) % _RATE_BYTES)
    padded[-1] |= 0x80
    lanes = [0] * 25
    for start in range(0, len(padded), _RATE_BYTES):
        for lane in range(_RATE_BYTES // 8):
            place = start + 8 * lane
            lanes[lane] ^= int.from_bytes(padded[place : place + 8], "little")
        lanes = _permuted(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


def _permuted(lanes: list[int]) -> list[int]:
    """Keccak-f[1600], 24 rounds; lane (x, y) is `lanes[x + 5 * y]`."""
    register = 1
    for _ in range(24):
        columns = [
            lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20]
            for x in range(5)
        ]
        mixed = [columns[(x + 4) % 5] ^ _turned(columns[(x + 1) % 5], 1) for x in range(5)]
        lanes = [lane ^ mixed[place % 5] for place, lane in enumerate(lanes)]
        # Rho and pi: each lane is turned by a triangular number and moves on.
        x, y, current = 1, 0, lanes[1]
        for step in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            turned = _turned(current, (step + 1) * (step + 2) // 2 % 64)
            current, lanes[x + 5 * y] = lanes[x + 5 * y], turned
        rows = [lanes[5 * y : 5 * y + 5] for y in range(5)]
        lanes = [row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]) for row in rows for x in range(5)]
        for bit in range(7):  # iota: the bits of a linear feedback shift register
            lanes[0] ^= (register & 1) << ((1 << bit) - 1)
            register = (register << 1) ^ (0x171 if register & 0x80 else 0)
    return lanes


def _turned(lane: int, bits: int) -> int:
    return ((lane << bits) | (lane >> (64 - bits))) & _MASK if bits else lane
