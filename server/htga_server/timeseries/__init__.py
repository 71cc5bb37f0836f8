"""Series: rows by step, their rollups and histograms, as stored and read back.

Batches of rows, or a key and steps, go in; rollups come out. May import storage and runs.
"""
