"""The world in a box: Discord, GitHub, AWS and a host on loopback, for the demo and the tests.

Nothing here imports the bot, the cogs or the service, and no production code imports this package: the bot meets
it only over sockets, as it meets the real services.
"""
