from hypothesis import settings

# A busy machine may take long over a single example, and that is no failure.
settings.register_profile("htga", deadline=None)
settings.load_profile("htga")
