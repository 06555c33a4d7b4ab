"""The `bench` command: one small module per verb."""
