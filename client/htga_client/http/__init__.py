"""HTTP to one collector: connections, time limits, retries, and errors by their meaning.

In: resources of `wire` and bytes. Out: resources, or an error of `htga_client.errors`. May import
`wire`.
"""
