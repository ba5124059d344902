"""The asv suite; see asv.conf.json at the root."""
