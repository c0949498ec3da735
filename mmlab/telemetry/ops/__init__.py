"""What `ops/` holds, made from code: Prometheus' rules and configuration, Alertmanager's, Grafana's dashboards."""
