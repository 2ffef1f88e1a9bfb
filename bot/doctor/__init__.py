"""The doctor: looks at everything that a bot with this configuration will need, and says how to mend what is wrong."""
