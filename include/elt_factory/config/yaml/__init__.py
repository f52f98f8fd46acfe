"""Text of a YAML file to plain data that knows where each key and value is, and edits that keep its layout."""
