"""The HTGA optimizer, its reference twin and the baselines it is compared with."""
