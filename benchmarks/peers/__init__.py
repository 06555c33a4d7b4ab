"""Reimplements, from descriptions, what the compared papers' and benchmarks' code does, next to crossfake's way."""
