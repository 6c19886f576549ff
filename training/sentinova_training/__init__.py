"""Recipes that turn human-labelled sentences into a model version that Sentinova serves.

The steps are `prepare`, `finetune`, `distill`, `export` and `verify`; each reads what the step before it
wrote, so each can be rerun alone. Nothing here is imported by the server.
"""
