"""Discord on loopback: REST v10, Gateway v10 and the hands of the seeded members.

A bot meets it over sockets only, with any unmodified client. What people do (run a command, press, pick, submit)
comes in through the control API and goes out as the gateway events that Discord would send.
"""
