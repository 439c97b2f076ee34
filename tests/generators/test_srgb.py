"""sRGB against its formula."""

import numpy as np

from generators.srgb import to_bytes, to_linear


def test_bytes_survive_and_light_follows_the_standard() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(16, 16)
    linear = to_linear(every)
    np.testing.assert_array_equal(to_bytes(linear), every)
    # IEC 61966-2-1: 0.5 encoded is 0.21404 linear; 10/255 lies on the straight part.
    np.testing.assert_allclose(np.interp(127.5, np.arange(256), linear.ravel()), 0.21404, atol=2e-5)
    np.testing.assert_allclose(linear.ravel()[10], 10 / 255 / 12.92, rtol=1e-6)


def test_light_between_two_bytes_goes_to_the_nearer_one() -> None:
    for byte in (3, 40, 200):
        for part, expected in ((0.4, byte), (0.6, byte + 1)):
            encoded = (byte + part) / 255
            light = encoded / 12.92 if encoded <= 0.04045 else ((encoded + 0.055) / 1.055) ** 2.4
            assert to_bytes(np.array([light], np.float32))[0] == expected
    assert to_bytes(np.array([-0.1, 1.2], np.float32)).tolist() == [0, 255]
