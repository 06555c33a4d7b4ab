"""The synthetic demo world, written in the official dataset layouts."""
