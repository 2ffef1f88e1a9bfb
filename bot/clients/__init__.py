"""One file per outside service: thin, typed, with deadlines; a vendor's exception never leaves this package."""
