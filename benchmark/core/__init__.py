"""What everything else stands on: types, contracts, files and keys. No torch, no jax, no statistics."""
