"""What everything else builds on: types, contracts, files and keys. No torch, no jax, no statistics."""
