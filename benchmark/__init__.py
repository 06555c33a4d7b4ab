"""The harness: registry, planning, the five stages, metrics, command line. No torch or jax at module level."""
