"""The statements of this package, by name."""

from functools import partial

from redress.ledger.queries import query as ledger_query

query = partial(ledger_query, package="redress.api")
"""The statement of that name in `api/sql`."""
