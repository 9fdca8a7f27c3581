"""`make bench-checkout`: how long a checkout waits for a decision, beside the same servers without Redress."""
