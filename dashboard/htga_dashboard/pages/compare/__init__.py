"""The page that compares runs: one chart for each key, one line for each run or group.

A query such as `?runs=a,b&group=lr` comes in, charts, a legend and tables go out.
"""
