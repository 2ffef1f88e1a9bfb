"""AWS on loopback: moto behind a guarded door, with a Run Command that really runs what it is sent."""
