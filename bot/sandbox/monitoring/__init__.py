"""The monitoring of the world: real Prometheus, Alertmanager and node exporter where they are installed, the hosts'
figures that the node exporter shows, and payloads for a world that has none of them.
"""
