"""What the gateway counts about itself, in Prometheus' text format and with APISIX's names."""
