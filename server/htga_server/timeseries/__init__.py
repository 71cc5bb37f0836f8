"""Series: rows by step, their rollups and their histograms, as they are stored and read back.

In: sorted batches of rows, or a series key and a range of steps. Out: rollups as arrays.
May import storage and runs.
"""
