"""The `bench` command: one small module a verb."""
