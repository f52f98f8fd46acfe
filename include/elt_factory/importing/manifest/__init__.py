"""Low-code manifests of Airbyte connectors as configs of JSON APIs."""
