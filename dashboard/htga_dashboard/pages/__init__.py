"""Pages: each a pure `layout` and the callbacks that `register` adds to an app."""
