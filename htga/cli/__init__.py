"""The `htga` command, the one place that may import every part."""
