"""The dashboard: pages, figures and their live updates."""
