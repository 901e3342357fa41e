"""Which limits an artefact has to keep, and the search for the best one that does.

`limits` judges candidates, `space` says what can be tried and makes recipes of it, `estimates` says what a candidate
will weigh before it is trained, `groups` where a model can best spare channels, `proposing` what to try next, and
`searching` does it and keeps the log.
"""
