"""The search for the best artefact within limits (`compression.limits`).

`space` says what can be tried and makes recipes of it, `estimates` what a candidate will weigh before it is trained,
`groups` where a model can best spare channels, `proposing` what to try next; `searching` does it and keeps the log.
"""
