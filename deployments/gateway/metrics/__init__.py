"""What Prometheus is told of every part of C500: a table of names, and a reader for each part."""
