"""Lengths of time the rules name, in microseconds."""

SECOND = 1_000_000
DAY = 86_400 * SECOND
TIME_OUT_GRACE = 60 * SECOND
"""How long after its end a hold is let go, and how late its capture may come (RULES sections 3 and 7)."""
FACT_TOLERANCE = DAY
"""How far ahead of the clock a fact, or a tick of the system clock, may be (RULES section 3)."""
