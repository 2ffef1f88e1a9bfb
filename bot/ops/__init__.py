"""The core: operations as rows with a truthful state. Knows no Discord and no vendor's SDK."""
