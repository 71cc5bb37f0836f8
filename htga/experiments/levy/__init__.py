"""The theory of heavy-tailed noise, checked by simulation."""
