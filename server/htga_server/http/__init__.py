"""HTTP without routes: the server, request bodies, responses, metrics and the access log.

In: connections and the resources of `htga_client.wire`. Out: responses.
May import every floor below, but uses storage and live only.
"""
