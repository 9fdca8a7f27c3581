"""Events of a file to their topics: routed, in order, resumable, with the ledger as a barrier before control events."""
