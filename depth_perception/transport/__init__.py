"""How well large images travel here: what is measured, what it means, what to change."""
