"""Adapters to MLflow: tracking, registry, models, plug-ins, and the decision ledger."""
