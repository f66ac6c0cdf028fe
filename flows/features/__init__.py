"""Looking at features: definition, freshness, parity between serving and training, and lineage."""
