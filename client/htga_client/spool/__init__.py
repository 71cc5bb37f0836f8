"""Numbered rows kept on disk, or in memory where no disk can be written, until they are stored.

In: Arrow record batches. Out: chunks of them, by sequence number, also after a crash. May import
`wire`.
"""
