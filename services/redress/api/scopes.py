"""What a token may be good for."""

from typing import Final

SCOPES: Final = {
    "read": "Look up programmes, figures, beneficiaries, vouchers and redemptions.",
    "redeem": "Ask for redemptions and tell facts about them; claim vouchers.",
    "operate": "Read the metrics.",
}
"""By name."""
