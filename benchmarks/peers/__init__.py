"""What the compared papers' and benchmarks' own code does, done again from its description, beside crossfake's way."""
