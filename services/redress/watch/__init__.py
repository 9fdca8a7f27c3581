"""Live signals from `redress.ledger`: how fast, how often by one person, what is out of the ordinary.

A Faust app, and the only one here: it may lag, repeat itself or be away without any figure of the ledger changing.
"""
